# SPDX-License-Identifier: Apache-2.0
"""Uploads by an HTML form, without a token: fields that a key of the account or container has signed, then files.

Signed is `HMAC(key, "PATH\\nREDIRECT\\nMAX_FILE_SIZE\\nMAX_FILE_COUNT\\nEXPIRES")`. Fields behind a file do not count
for it. Each file becomes an object named by the path and the file's own name.
"""

from typing import Any
from urllib.parse import urlencode

from falcon import MultipartParseError

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.kernel import clock
from altostratus.kernel.db import Row
from altostratus.kernel.errors import ApiError, BadRequest, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api import receiving
from altostratus.services.object_store.api.form_parts import FormPart, parts_of_form
from altostratus.services.object_store.api.uploading import store
from altostratus.services.object_store.api.visits import (
    Place,
    demand_not_denied,
    finished,
    place_of,
    seen,
    signing_keys,
)
from altostratus.services.object_store.logic import containers, temp_urls
from altostratus.services.object_store.logic.bucket_policies import Wish

DIGESTS = ("sha1", "sha256", "sha512")
_LONGEST_FIELD = 4096
_SIGNED = (("redirect", ""), ("max_file_size", "0"), ("max_file_count", "0"), ("expires", "0"))


def post_form(call: Call) -> Reply:
    """201, or 303 to the form's `redirect` with `status` and `message`."""
    place = place_of(call)
    with call.cloud.db.read() as tx:
        container = containers.find(tx, place.account, place.container)
    fields: dict[str, str] = {}
    count = 0
    try:
        for part in parts_of_form(call):
            body = part.body
            if body.filename:
                count += 1
                _demand_signed(call, place, fields)
                if container is None:
                    raise BadRequest("FormPost: there is no such container. Make it first.")
                if count > _number(fields, "max_file_count"):
                    raise BadRequest("FormPost: max file count exceeded")
                name = _name_of(call, place, body.filename)
                demand_not_denied(call, seen(call, None), container, Wish("PutObject", name))
                _store(call, container, name, part, fields)
            elif body.name:
                fields[body.name.lower()] = body.stream.read(_LONGEST_FIELD).decode("utf-8", "replace")
        if not count:
            raise BadRequest("FormPost: no files to process")
    except MultipartParseError as error:
        raise BadRequest(f"FormPost: invalid form ({error.description}).") from None
    except ApiError as error:
        if not count or not fields.get("redirect") or isinstance(error, Unauthorized):
            raise  # the address to go to is only trusted if it was signed
        return _redirect(fields["redirect"], error.status, error.message.removeprefix("FormPost: "))
    if fields.get("redirect"):
        return _redirect(fields["redirect"], 201, "")
    return finished(Reply(201, b"201 Created", content_type="text/plain"))


def _redirect(address: str, status: int, message: str) -> Reply:
    if any(letter < " " for letter in address):
        raise BadRequest("FormPost: the redirect is no address.")
    location = address + ("&" if "?" in address else "?") + urlencode({"status": status, "message": message})
    return finished(Reply(303, headers={"Location": location.encode().decode("latin-1")}))


def _store(call: Call, container: Row[Any], name: str, part: FormPart, fields: dict[str, str]) -> None:
    described: dict[str, Any] = {
        "content_type": fields.get("content-type") or part.body.content_type,
        "meta": {},
        "headers": {"content-encoding": fields["content-encoding"]} if fields.get("content-encoding") else {},
        "expires_at": receiving.expiry_in(fields.get("x_delete_after"), fields.get("x_delete_at")),
    }
    most = _number(fields, "max_file_size")
    try:
        store(call, container, name, part.file(most), None, described)
    except ApiError as error:
        if isinstance(error.__cause__, ObjectStoreError) and error.__cause__.reason == "too_large":
            raise BadRequest("FormPost: max_file_size exceeded") from None
        raise


def _name_of(call: Call, place: Place, file_name: str) -> str:
    """Checked as if it had come in the path."""
    call.params["object"] = place.name + file_name
    return place_of(call).name


def _demand_signed(call: Call, place: Place, fields: dict[str, str]) -> None:
    if _number(fields, "expires") <= clock.unix():
        raise Unauthorized("FormPost: Form Expired")
    signature, digest = temp_urls.signature_of(fields.get("signature", ""))
    path = f"/v1/{place.account}/{place.container}" + (f"/{place.name}" if place.name else "")
    paths = [root + path + slash for root in ("", temp_urls.ROOT) for slash in ("", "/")[: 1 if place.name else 2]]
    tail = "".join(f"\n{fields.get(name) or default}" for name, default in _SIGNED)
    keys = signing_keys(call, place) if digest in DIGESTS else []
    if not any(temp_urls.is_signed(key, one + tail, signature, digest) for key, _ in keys for one in paths):
        raise Unauthorized("FormPost: Invalid Signature")


def _number(fields: dict[str, str], name: str) -> int:
    text = fields.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(f"FormPost: {name} not an integer")
    return int(text)
