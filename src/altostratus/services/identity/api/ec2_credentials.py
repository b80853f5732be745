# SPDX-License-Identifier: Apache-2.0
"""`/users/{user_id}/credentials/OS-EC2`: pairs of access key and secret, another view of ec2 credentials."""

import json
from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.credentials import bound, open_blob, seal_blob
from altostratus.services.identity.api.declaring import IdentityResource, simple_list
from altostratus.services.identity.api.delegation import demand_unrestricted, demand_within, is_within
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.tokens.ec2 import id_of_access

_NEW = {
    "type": "object",
    "properties": {"tenant_id": {"type": "string", "minLength": 1, "maxLength": 64}},
    "required": ["tenant_id"],
}


def _target(call: Call) -> dict[str, Any]:
    """The credential that `{access}` names; without one, that of the user in the path."""
    user_id = call.params["user_id"]
    if "access" in call.params:
        call.row = call.tx.find(models.Credential, id_of_access(call.params["access"]))
        if call.row is not None:
            user_id = call.row.user_id
    return {"user_id": call.params["user_id"], "target.credential.user_id": user_id}


def _shown(call: Call, row: Any) -> dict[str, Any]:
    blob = json.loads(open_blob(call, row._mapping))
    return {
        "user_id": row.user_id,
        "tenant_id": row.project_id,
        "access": blob.get("access"),
        "secret": blob.get("secret"),
        "trust_id": blob.get("trust_id"),
        "links": {"self": f"{call.url_without_query().partition('/OS-EC2')[0]}/OS-EC2/{blob.get('access')}"},
    }


def _get(call: Call) -> Any:
    row = call.row
    if row is None or row.type != "ec2" or row.user_id != call.params["user_id"]:
        raise not_found("credential", call.params["access"])
    demand_within(call, row.project_id)
    return row


def list_pairs(call: Call) -> Reply:
    credential = table_of(models.Credential)
    own = select(credential).where(credential.c.user_id == call.params["user_id"], credential.c.type == "ec2")
    rows = call.tx.rows(own.order_by(credential.c.id))
    return simple_list(call, "credentials", [_shown(call, row) for row in rows if is_within(call, row.project_id)])


def create_pair(call: Call) -> Reply:
    """A new pair for one project of the user."""
    user_id, project_id = call.params["user_id"], call.body["tenant_id"]
    for model, what, id in ((models.User, "user", user_id), (models.Project, "project", project_id)):
        if call.tx.find(model, id) is None:
            raise not_found(what, id)
    demand_unrestricted(call, "credentials")
    demand_within(call, project_id)
    access, secret = ids.new_hex_id(), ids.new_hex_id()
    credential_id = id_of_access(access)
    blob = json.dumps(bound(call, {"access": access, "secret": secret, "trust_id": None}))
    call.tx.insert(
        models.Credential, id=credential_id, user_id=user_id, project_id=project_id, type="ec2",
        encrypted_blob=seal_blob(call, blob), extra={},
    )  # fmt: skip
    announce(call.tx, call.cloud, "identity.credential.created", credential_id)
    return Reply(201, {"credential": _shown(call, call.tx.get(models.Credential, credential_id))})


def show_pair(call: Call) -> Reply:
    return Reply(200, {"credential": _shown(call, _get(call))})


def delete_pair(call: Call) -> Reply:
    row = _get(call)
    call.tx.delete(models.Credential, row.id)
    announce(call.tx, call.cloud, "identity.credential.deleted", row.id)
    return Reply(204)


class Ec2Credential(IdentityResource, path="/users/{user_id}/credentials/OS-EC2"):
    """Keys for clients that sign their requests."""

    index = Op("GET", "", "identity:ec2_list_credentials", policies.OWNER_READER, list_pairs, target=_target)
    create = Op(
        "POST", "", "identity:ec2_create_credential", policies.EC2_OWNER, create_pair, body=_NEW, target=_target
    )
    show = Op("GET", "/{access}", "identity:ec2_get_credential", policies.EC2_READER, show_pair, target=_target)
    delete = Op(
        "DELETE", "/{access}", "identity:ec2_delete_credential", policies.EC2_OWNER, delete_pair,
        target=_target,
    )  # fmt: skip
