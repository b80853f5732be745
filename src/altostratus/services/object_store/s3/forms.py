# SPDX-License-Identifier: Apache-2.0
"""Uploads by an HTML form: fields, among them perhaps a policy that somebody has signed, then the file.

The fields are what the headers of a PUT would be. Fields behind the file do not count.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from falcon import MultipartParseError

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.form_parts import FormPart, is_form, parts_of_form
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic import checksums
from altostratus.services.object_store.s3 import xml
from altostratus.services.object_store.s3.bodies import Summed, given_in
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.post_policies import Sizes, demand_fits
from altostratus.services.object_store.s3.shapes import checked_tags, quoted, s3_column, tags_in
from altostratus.services.object_store.s3.signatures import V4, Signed, access_key_of, is_same, mismatch
from altostratus.services.object_store.s3.visits import Visit, container_for, visit_as
from altostratus.services.object_store.s3.writing import described_by, finish, keep
from altostratus.services.object_store.s3.xml import document

_MOST_FIELDS = 64 * 1024
_OF_REQUEST = ("ORIGIN", "REFERER", "USER-AGENT", "X-FORWARDED-PROTO")
_STATUSES = ("200", "201", "204")


class FormBody:
    """The file, checked at its end."""

    size = None

    def __init__(self, part: FormPart, sizes: Sizes, headers: Mapping[str, str]) -> None:
        self._given, self._sizes, self._came = given_in(headers), sizes, 0
        self._stream = Summed(part.file(sizes.most), self._given)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._came += len(data)
        return data

    def finish(self, _md5: str) -> dict[str, str]:
        if self._came < self._sizes.least:
            raise S3Error("EntityTooSmall", f"The file has {self._came} bytes; the least is {self._sizes.least}.")
        made = self._stream.checksums
        checksums.demand_same(made, self._given)
        return made


def post_object(call: Call) -> Reply:
    if not is_form(call):
        raise S3Error("PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data.")
    fields: dict[str, str] = {}
    left = _MOST_FIELDS
    try:
        for part in parts_of_form(call):
            name = (part.body.name or "").lower()
            if name == "file":
                return _upload(call, fields, part)
            data = part.body.stream.read(left + 1)
            left -= len(data) + len(name) + 1
            if left < 0:
                raise S3Error("MaxPostPreDataLengthExceededError", "The fields before the file are too large.")
            fields[name] = data.decode("utf-8", "replace")
    except MultipartParseError as error:
        raise S3Error("MalformedPOSTRequest", f"The body is no multipart/form-data: {error.description}.") from None
    raise S3Error("IncorrectNumberOfFilesInPostRequest", "POST requires exactly one file upload per request.")


def _upload(call: Call, fields: dict[str, str], part: FormPart) -> Reply:
    if not fields.get("key"):
        raise S3Error("InvalidArgument", "Bucket POST must contain a field named 'key', before the file.")
    file_name = re.split(r"[/\\]", part.body.filename or "")[-1]
    fields = {name: value.replace("${filename}", file_name) for name, value in fields.items()}
    signed, sizes = _signed(call, fields), Sizes(0, call.cloud[ObjectStoreOptions].max_object_bytes)
    call.params["object"] = fields["key"]
    visit = visit_as(call, signed)
    if signed is not None:
        sizes = demand_fits(fields["policy"], {**fields, "bucket": visit.bucket}, sizes)
    call.headers = _as_headers(call, fields)
    container = container_for(call, visit, "write")
    described, tags = described_by(call, container), _tags_of(fields)
    kept = keep(call, container.policy, FormBody(part, sizes, call.headers))
    finish(call, container, visit.key, kept, {**described, "s3": s3_column(tags, kept.checksums)}, lambda _tx: None)
    return _answer(call, visit, fields, quoted(kept.md5))


def _signed(call: Call, fields: Mapping[str, str]) -> Signed | None:
    """None for a form without a policy: anybody's. Raises S3Error for a wrong signature."""
    by_4 = "x-amz-signature" in fields
    stated = fields.get("x-amz-signature" if by_4 else "signature")
    credential = fields.get("x-amz-credential" if by_4 else "awsaccesskeyid")
    if "policy" not in fields and stated is None:
        return None
    if "policy" not in fields or stated is None or credential is None:
        raise S3Error(
            "InvalidArgument",
            "Bucket POST must contain, before the file, a policy and its signature: x-amz-signature, x-amz-credential,"
            " x-amz-algorithm and x-amz-date, or signature and AWSAccessKeyId.",
        )
    access, *scope = credential.rsplit("/", 4) if by_4 else (credential,)
    if by_4 and (len(scope) != 4 or scope[2:] != ["s3", "aws4_request"] or fields.get("x-amz-algorithm") != V4):
        raise S3Error("InvalidArgument", f"x-amz-credential is KEY/DATE/REGION/s3/aws4_request, x-amz-algorithm {V4}.")
    key, text = access_key_of(call, access), fields["policy"].encode()
    made = key.signature_4(scope, text) if by_4 else key.signature_2(text)
    if not is_same(made, stated):
        raise mismatch({"StringToSign": fields["policy"]})
    return Signed(key.context())


def _as_headers(call: Call, fields: Mapping[str, str]) -> dict[str, str]:
    """As a PUT would have them: a character for each byte."""
    given = {name.upper(): value.encode().decode("latin-1") for name, value in fields.items()}
    if "ACL" in given:
        given["X-AMZ-ACL"] = given.pop("ACL")
    return {**given, **{name: call.headers[name] for name in _OF_REQUEST if name in call.headers}}


def _tags_of(fields: Mapping[str, str]) -> dict[str, str]:
    """The field `tagging` is XML, other than the header of a PUT."""
    if "tagging" not in fields:
        return {}
    try:
        return checked_tags(tags_in(xml.parse(fields["tagging"].encode(), "Tagging")))
    except ValueError as error:
        raise S3Error("MalformedXML", f"The field tagging is not well-formed: {error}.") from None


def _answer(call: Call, visit: Visit, fields: Mapping[str, str], etag: str) -> Reply:
    where = f"{call.host_url}{quote(call.asked.path)}/{quote(visit.key)}"
    headers = {"ETag": etag, "Location": where}
    page = fields.get("success_action_redirect") or fields.get("redirect", "")
    if page.startswith(("http://", "https://")) and not any(letter <= " " for letter in page):
        told = urlencode({"bucket": visit.bucket, "key": visit.key, "etag": etag})
        headers["Location"] = (page + ("&" if "?" in page else "?") + told).encode().decode("latin-1")
        return Reply(303, headers=headers)
    status = fields.get("success_action_status", "204")
    if status == "201":
        body = [("Location", where), ("Bucket", visit.bucket), ("Key", visit.key), ("ETag", etag)]
        return Reply(201, document("PostResponse", body, bare=True), headers=headers)
    return Reply(int(status) if status in _STATUSES else 204, headers=headers)
