# SPDX-License-Identifier: Apache-2.0
"""`/os-keypairs`: public keys that new servers are given. They belong to users, not projects."""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden, NotFound
from altostratus.kernel.policy import OWNER_USER
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Choice, Computed, Field, Id, Text, Time
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show
from altostratus.services.compute.api.shared import NAME_PATTERN, at
from altostratus.services.compute.logic import keypairs
from altostratus.services.compute.models.flavors import Keypair as KeypairRow

_BRIEF = ("name", "public_key", "fingerprint", "type")
_OLD_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[_ a-zA-Z0-9-]+$"}
_NEW_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[_@. a-zA-Z0-9-]+$"}


def whose(call: Call) -> str:
    """The user that is meant: the caller, or since 2.10 the one named."""
    if at(call, 10):
        named = (call.body or {}).get("user_id") if isinstance(call.body, dict) else None
        return str(named or call.query.get("user_id", [call.ctx.user_id])[-1])
    return call.ctx.user_id


def _target(call: Call) -> dict[str, Any]:
    return {"user_id": whose(call)}


def of_the_user(call: Call, statement: Any, _listing: bool) -> Any:
    return statement.where(table_of(KeypairRow).c.user_id == whose(call))


def list_keypairs(call: Call) -> Reply:
    """Names and public keys."""
    if not at(call, 35):
        call.query.pop("limit", None)
        call.query.pop("marker", None)
    page = call.list_rows()
    items = [{"keypair": shown} for shown in call.render(page.rows, only=_BRIEF)]
    names = [row.name for row in page.rows]
    return Reply(200, lists.wrap(call, call.resource, items, names, page.more, call.service.style))


def create_keypair(call: Call) -> Reply:
    """Import a public key, or (before 2.92) make a pair and hand out the private key once."""
    body, user_id = call.body, whose(call)
    name = body["name"]
    if name != name.strip():
        raise BadRequest(
            f"Invalid input for field/attribute name. Value: {name}. It must not begin or end with a space."
        )
    limit = call.cloud.quotas("compute").limits(call.tx, str(call.ctx.project_id))["key_pairs"]
    if limit >= 0 and keypairs.count_keypairs(call.tx, user_id) >= limit:
        raise Forbidden(f"Quota exceeded, too many key pairs: {limit} of {limit} are used. Delete some first.")
    public_key, private_key = body.get("public_key"), None
    if public_key is None:
        certificate = body.get("type") == "x509"
        private_key, public_key = keypairs.make_certificate() if certificate else keypairs.make_ssh_keys()
    row = keypairs.add_keypair(call.tx, user_id, name, body.get("type", "ssh"), public_key)
    shown = call.render([row], only=(*_BRIEF, "user_id"))[0]
    if private_key is not None:
        shown["private_key"] = private_key
    call.cloud.events.emit(
        call.tx, "keypair.import.end" if private_key is None else "keypair.create.end",
        {"user_id": user_id, "key_name": name, "fingerprint": row.fingerprint}, publisher_id="compute",
    )  # fmt: skip
    return Reply(201 if at(call, 2) else 200, {"keypair": shown})


def delete_keypair(call: Call) -> Reply:
    if call.tx.delete(KeypairRow, call.row.id) == 0:
        raise NotFound(f"Keypair {call.params['id']} not found for user {whose(call)}")
    call.cloud.events.emit(
        call.tx, "keypair.delete.end", {"user_id": call.row.user_id, "key_name": call.row.name}, publisher_id="compute"
    )
    return Reply(204 if at(call, 2) else 202)


class Keypair(Resource, path="/os-keypairs", one="keypair", many="keypairs"):
    """An SSH public key, or a certificate, that new servers are given."""

    row = KeypairRow
    key = "name"
    scope = of_the_user
    name = Field({**_OLD_NAME, "allOf": [{"pattern": NAME_PATTERN}]}, "cr", required=True).changed(
        "2.92", schema={**_NEW_NAME, "allOf": [{"pattern": NAME_PATTERN}]}
    )
    type = Choice("ssh", "x509", on="cr", default="ssh", since="2.2")
    public_key = Text(1, 16384, "cr").changed("2.92", required=True)
    fingerprint = Id("r")
    user_id = Field({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-]*$"}, "r").changed(
        "2.10", on="cr"
    )
    id = Id("r")
    created_at = Time("r", form=clock.iso_micro)
    deleted = Computed(lambda _row, _call: False)
    deleted_at = Computed(lambda _row, _call: None)
    updated_at = Computed(lambda _row, _call: None)

    index = List("os_compute_api:os-keypairs:index", OWNER_USER, list_keypairs, target=_target)
    create = Create("os_compute_api:os-keypairs:create", OWNER_USER, create_keypair, target=_target)
    show = Show("os_compute_api:os-keypairs:show", OWNER_USER, target=_target)
    delete = Delete("os_compute_api:os-keypairs:delete", OWNER_USER, delete_keypair, target=_target)
