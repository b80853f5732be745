# SPDX-License-Identifier: Apache-2.0
"""Credentials that users keep here (ec2 keys, one-time-password seeds ...). The secret part is stored sealed."""

import hashlib
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
from altostratus.services.identity.api.targets import flat, needed, row_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator

_ERRAND = row_target("credential", models.Credential)


def open_blob(call: Call, row: Any) -> str:
    """The secret part of a credential's attributes."""
    return call.cloud.part(TokenAuthenticator).credential_keys.unseal(row["encrypted_blob"]).decode()


def _blob(row: Any, call: Call) -> str:
    return open_blob(call, row)


def seal_blob(call: Call, blob: str) -> str:
    return call.cloud.part(TokenAuthenticator).credential_keys.seal(blob.encode())


def create_target(call: Call) -> dict[str, Any]:
    return flat("credential", {"user_id": call.body.get("user_id") or call.ctx.user_id})


def create_credential(call: Call) -> Any:
    values = {"project_id": None, "user_id": call.ctx.user_id, **call.body}
    if call.tx.find(models.User, values["user_id"]) is None:
        raise not_found("user", values["user_id"])
    blob = values.pop("blob")
    credential_id = ids.new_hex_id()
    if values["type"] == "ec2":
        credential_id = hashlib.sha256(_access_of(blob).encode()).hexdigest()
        if values["project_id"] is None:
            raise BadRequest("Expecting to find project_id in credential: ec2 keys are good for one project.")
    if call.tx.find(models.Credential, credential_id) is not None:
        raise Conflict(
            f"Conflict occurred attempting to store credential - Duplicate entry found with ID {credential_id}."
        )
    call.tx.insert(
        models.Credential, id=credential_id, **values, encrypted_blob=seal_blob(call, blob), extra=extra_members(call)
    )
    announce(call.tx, call.cloud, "identity.credential.created", credential_id)
    return call.tx.get(models.Credential, credential_id)


def _access_of(blob: str) -> str:
    """The access key inside an ec2 credential. Raises BadRequest."""
    try:
        return str(json.loads(blob)["access"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest("Invalid blob in credential: for ec2 it is JSON with the members access and secret.") from None


def list_credentials(call: Call) -> Reply:
    """Own ones; all for those who may see others'."""
    credential = table_of(models.Credential)
    statement = select(credential)
    if not call.may("identity:list_credentials", {}):
        statement = statement.where(credential.c.user_id == call.ctx.user_id)
    return list_reply(call, statement, confined_by=None)


def _own(call: Call) -> dict[str, Any]:
    return {"target.credential.user_id": call.ctx.user_id}


def update_credential(call: Call) -> Any:
    row, values = needed(call), dict(call.body)
    if "blob" in values:
        blob = values.pop("blob")
        if values.get("type", row.type) == "ec2":
            _access_of(blob)
        values["encrypted_blob"] = seal_blob(call, blob)
    if values.get("user_id", row.user_id) != row.user_id:
        call.demand("identity:update_credential", {"target.credential.user_id": values["user_id"]})
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.Credential, row.id, **values)
    announce(call.tx, call.cloud, "identity.credential.updated", row.id)
    return call.tx.get(models.Credential, row.id)


def delete_credential(call: Call) -> None:
    row = needed(call)
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
    show = Show("identity:get_credential", policies.CREDENTIAL_READER, needed, own_row=False, target=_ERRAND)
    update = Update("identity:update_credential", policies.CREDENTIAL_OWNER, update_credential, method="PATCH",
                    own_row=False, target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_credential", policies.CREDENTIAL_OWNER, delete_credential, own_row=False,
                    target=_ERRAND)  # fmt: skip
