# SPDX-License-Identifier: Apache-2.0
"""Credentials that users keep here (ec2 keys, one-time-password seeds ...). The secret part is stored sealed."""

import json
from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Computed, Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, Links, extra_members, list_reply
from altostratus.services.identity.api.delegation import delegation_of, demand_unrestricted, demand_within
from altostratus.services.identity.api.targets import flat, needed, row_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.tokens.ec2 import BINDINGS, id_of_access
from altostratus.services.identity.tokens.key_ring import CredentialKeys

_ERRAND = row_target("credential", models.Credential)


def open_blob(call: Call, row: Any) -> str:
    """The secret part of a credential's attributes."""
    return call.cloud.part(CredentialKeys).unseal(row["encrypted_blob"]).decode()


def _blob(row: Any, call: Call) -> str:
    return open_blob(call, row)


def seal_blob(call: Call, blob: str) -> str:
    return call.cloud.part(CredentialKeys).seal(blob.encode())


def bound(call: Call, blob: dict[str, Any]) -> dict[str, Any]:
    """An ec2 blob that says by which delegation it was made, so that its tokens are no stronger. Raises BadRequest."""
    own = {BINDINGS[name]: value for name, value in delegation_of(call.ctx).items()}
    for name in BINDINGS.values():
        if blob.get(name) not in (None, own.get(name)):
            raise BadRequest(f"{name} in the blob is not that of your token. Leave it out: it is filled in here.")
    return {**blob, **own}


def create_target(call: Call) -> dict[str, Any]:
    return flat("credential", {"user_id": call.body.get("user_id") or call.ctx.user_id})


def create_credential(call: Call) -> Any:
    values = {"project_id": None, "user_id": call.ctx.user_id, **call.body}
    demand_within(call, values["project_id"])
    if call.tx.find(models.User, values["user_id"]) is None:
        raise not_found("user", values["user_id"])
    blob = values.pop("blob")
    credential_id = ids.new_hex_id()
    if values["type"] == "ec2":
        demand_unrestricted(call, "credentials")
        pair = bound(call, _ec2_pair(blob, values["project_id"]))
        blob, credential_id = json.dumps(pair), id_of_access(str(pair["access"]))
    if call.tx.find(models.Credential, credential_id) is not None:
        raise Conflict(
            f"Conflict occurred attempting to store credential - Duplicate entry found with ID {credential_id}."
        )
    call.tx.insert(
        models.Credential, id=credential_id, **values, encrypted_blob=seal_blob(call, blob), extra=extra_members(call)
    )
    announce(call.tx, call.cloud, "identity.credential.created", credential_id)
    return call.tx.get(models.Credential, credential_id)


def _ec2_pair(blob: str, project_id: str | None) -> dict[str, Any]:
    """The blob of an ec2 credential, which is good for one project. Raises BadRequest."""
    pair = _members(blob)
    if pair.get("access") is None:
        raise BadRequest("Invalid blob in credential: for ec2 it is JSON with the members access and secret.")
    if project_id is None:
        raise BadRequest("Expecting to find project_id in credential: ec2 keys are good for one project.")
    return pair


def _members(blob: str) -> dict[str, Any]:
    """Those of a blob that is a JSON object; of another one none."""
    try:
        found = json.loads(blob)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def list_credentials(call: Call) -> Reply:
    """Own ones; all for those who may see others'."""
    credential = table_of(models.Credential)
    statement = select(credential)
    if not call.may("identity:list_credentials", {}):
        statement = statement.where(credential.c.user_id == call.ctx.user_id)
    if delegation_of(call.ctx):
        statement = statement.where(credential.c.project_id == call.ctx.project_id)
    return list_reply(call, statement, confined_by=None)


def _own(call: Call) -> dict[str, Any]:
    return {"target.credential.user_id": call.ctx.user_id}


def _reachable(call: Call) -> Any:
    row = needed(call)
    demand_within(call, row.project_id)
    return row


def update_credential(call: Call) -> Any:
    row, values = _reachable(call), dict(call.body)
    project_id = values.get("project_id", row.project_id)
    demand_within(call, project_id)
    if "blob" in values:
        blob = values.pop("blob")
        _demand_still_bound(call, row, blob)
        values["encrypted_blob"] = seal_blob(call, blob)
    else:
        blob = open_blob(call, row._mapping)
    if values.get("type", row.type) == "ec2":
        _ec2_pair(blob, project_id)
    if values.get("user_id", row.user_id) != row.user_id:
        call.demand("identity:update_credential", {"target.credential.user_id": values["user_id"]})
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.Credential, row.id, **values)
    announce(call.tx, call.cloud, "identity.credential.updated", row.id)
    return call.tx.get(models.Credential, row.id)


def _demand_still_bound(call: Call, row: Any, blob: str) -> None:
    """What a credential was made by never changes, whatever its type is called meanwhile (CVE-2020-12691)."""
    before, after = _members(open_blob(call, row._mapping)), _members(blob)
    for name in BINDINGS.values():
        if before.get(name) != after.get(name):
            raise BadRequest(f"{name} can not be updated for credential. Give the blob with the {name} that it has.")


def delete_credential(call: Call) -> None:
    row = _reachable(call)
    call.tx.delete(models.Credential, row.id)
    announce(call.tx, call.cloud, "identity.credential.deleted", row.id)


class Credential(IdentityResource, path="/credentials", one="credential", many="credentials"):
    """A secret kept for a user."""

    row = models.Credential
    id = Id("rs")
    type = Text(1, 255, "crufs", required=True)
    user_id = Text(1, 64, "crufs")
    project_id = Text(1, 64, "cru", nullable=True)
    blob = Text(1, 65_535, "cu", required=True)
    shown_blob = Computed(_blob, wire="blob")
    links = Links("/credentials")
    index = List("identity:list_credentials", policies.CREDENTIAL_READER, list_credentials, target=_own)
    create = Create("identity:create_credential", policies.CREDENTIAL_OWNER, create_credential, target=create_target)
    show = Show("identity:get_credential", policies.CREDENTIAL_READER, _reachable, own_row=False, target=_ERRAND)
    update = Update("identity:update_credential", policies.CREDENTIAL_OWNER, update_credential, method="PATCH",
                    own_row=False, target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_credential", policies.CREDENTIAL_OWNER, delete_credential, own_row=False,
                    target=_ERRAND)  # fmt: skip
