# SPDX-License-Identifier: Apache-2.0
"""Application credentials: a secret of its own for a program, for one project and some of its owner's roles."""

from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import MISSING, Computed, Id, ListOf, Text, Time
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    Description,
    Flag,
    IdentityResource,
    Links,
    Name,
    future,
    list_reply,
)
from altostratus.services.identity.api.delegation import demand_own_credentials
from altostratus.services.identity.api.targets import path_target
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.logic import access_rules
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.effective import RoleName, effective_roles
from altostratus.services.identity.tokens import passwords

_NAMED_ROLE = {
    "type": "object",
    "properties": {"id": {"type": "string", "maxLength": 64}, "name": {"type": "string", "maxLength": 255}},
    "minProperties": 1,
}


_RULE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 64},
        "path": {"type": "string", "pattern": "^/", "maxLength": 225},
        "service": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"},
        "method": {"enum": ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]},
    },
    "anyOf": [{"required": ["id"]}, {"required": ["path", "method", "service"]}],
}


def _with_roles_and_rules(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    role = table_of(models.Role)
    wanted = {role_id for row in rows for role_id in row.role_ids}
    found = {row.id: row for row in call.tx.rows(select(role).where(role.c.id.in_(wanted)))}
    rules = access_rules.rules_of(call.tx, [row.id for row in rows])
    return [
        {
            **row._mapping,
            "roles": [
                {"id": role_id, "name": found[role_id].name, "domain_id": found[role_id].domain_id}
                for role_id in row.role_ids
                if role_id in found
            ],
            "access_rules": [access_rules.shown_rule(rule) for rule in rules[row.id]],
        }
        for row in rows
    ]


def _demand_free_hand(call: Call) -> None:
    """Programs that were given a restricted credential make and remove no others. Raises Forbidden."""
    demand_own_credentials(call)
    if call.ctx.extra.get("restricted"):
        raise Forbidden(
            "Using method 'application_credential' is not allowed for managing additional application credentials."
            " Create the credential with unrestricted=true if its program must do that."
        )


def create_application_credential(call: Call) -> Reply:
    """The only answer that ever shows the secret."""
    _demand_free_hand(call)
    if call.ctx.project_id is None:
        raise BadRequest("An application credential is for a project: ask with a token that is scoped to one.")
    secret = call.body.get("secret") or ids.new_secret(64)
    secret_hash = passwords.hash_password(secret)
    with call.cloud.db.write() as call.tx:
        row = _insert(call, secret_hash)
        shown = call.render([row])[0] | {"secret": secret}
        return Reply(201, {"application_credential": shown})


def _insert(call: Call, secret_hash: str) -> Any:
    credential, owner = table_of(models.ApplicationCredential), call.ctx.user_id
    count = call.tx.scalar(select(func.count()).select_from(credential).where(credential.c.user_id == owner))
    most = call.cloud[IdentityOptions].credentials_per_user
    if count >= most:
        raise Forbidden(
            f"Unable to create additional application credentials, maximum of {most} already exceeded for user."
        )
    name = call.body["name"]
    if call.tx.find(models.ApplicationCredential, user_id=owner, name=name) is not None:
        raise duplicate("application_credential", name)
    credential_id = ids.new_hex_id()
    call.tx.insert(
        models.ApplicationCredential,
        id=credential_id,
        user_id=owner,
        project_id=call.ctx.project_id,
        name=name,
        description=call.body.get("description"),
        secret_hash=secret_hash,
        expires_at=future(call.body.get("expires_at")),
        unrestricted=call.body["unrestricted"],
        role_ids=[role.id for role in _roles(call)],
        created_at=clock.now(),
    )
    access_rules.bind(call.tx, credential_id, _rules(call))
    announce(call.tx, call.cloud, "identity.application_credential.created", credential_id)
    return call.tx.get(models.ApplicationCredential, credential_id)


def _rules(call: Call) -> list[Any]:
    """Those asked for; a token that has rules itself passes on no other. Raises BadRequest, Forbidden."""
    rows = access_rules.ensure_rules(call.tx, call.cloud, call.ctx.user_id, call.body.get("access_rules") or [])
    own = call.ctx.access_rules
    if own is not None and (not rows or {(row.service, row.method, row.path) for row in rows} - own.rules):
        raise Forbidden(
            "Your application credential has access rules, so the new one needs some of these rules and no others."
        )
    return rows


def _roles(call: Call) -> list[RoleName]:
    """Those asked for, or all of the token's. Raises BadRequest for one that the caller does not have."""
    own = [
        role
        for role in effective_roles(call.tx, call.ctx.user_id, "project", call.ctx.project_id or "")
        if role.name in call.ctx.roles
    ]
    if not call.body.get("roles"):
        return own
    chosen = []
    for named in call.body["roles"]:
        found = [
            role for role in own if named.get("id", role.id) == role.id and named.get("name", role.name) == role.name
        ]
        if not found:
            raise BadRequest(
                f"Invalid application credential: Could not find role assignment with role: {named}."
                " Only roles that you have on the project can be passed on."
            )
        chosen.append(found[0])
    return list(dict.fromkeys(chosen))


def _target(call: Call) -> dict[str, Any]:
    """Its true owner, whatever user the path names."""
    row = call.tx.find(models.ApplicationCredential, call.params["id"])
    return path_target(call) | ({"user_id": row.user_id} if row is not None else {})


def show_application_credential(call: Call) -> Any:
    demand_own_credentials(call)
    return _find(call)


def _find(call: Call) -> Any:
    """The credential of the user in the path; another user's is as good as none."""
    row = call.tx.find(models.ApplicationCredential, call.params["id"])
    if row is None or row.user_id != call.params["user_id"]:
        raise not_found("application credential", call.params["id"])
    return row


def list_application_credentials(call: Call) -> Reply:
    demand_own_credentials(call)
    credential = table_of(models.ApplicationCredential)
    statement = select(credential).where(credential.c.user_id == call.params["user_id"])
    return list_reply(call, statement, confined_by=None)


def delete_application_credential(call: Call) -> None:
    _demand_free_hand(call)
    row = _find(call)
    call.tx.delete(models.ApplicationCredential, row.id)
    announce(call.tx, call.cloud, "identity.application_credential.deleted", row.id)


class ApplicationCredential(
    IdentityResource,
    path="/users/{user_id}/application_credentials",
    one="application_credential",
    many="application_credentials",
):
    """A secret for a program."""

    unknown = "ignore"
    row = models.ApplicationCredential
    load = _with_roles_and_rules
    id = Id("rs")
    name = Name(required=True)
    description = Description()
    project_id = Text(1, 64, "r")
    secret = Text(1, passwords.LONGEST, "c", nullable=True)
    expires_at = Time("cr", nullable=True, form=clock.iso_micro)
    unrestricted = Flag("cr", default=False)
    roles = ListOf(_NAMED_ROLE, "cr", maximum=64)
    access_rules = ListOf(_RULE, "c", maximum=64)
    shown_rules = Computed(lambda row, call: row["access_rules"] or MISSING, wire="access_rules")
    links = Links("/application_credentials")
    index = List("identity:list_application_credentials", policies.OWNER_READER, list_application_credentials,
                 target=path_target)  # fmt: skip
    create = Create("identity:create_application_credential", policies.OWNER, create_application_credential,
                    tx="none", target=path_target)  # fmt: skip
    show = Show("identity:get_application_credential", policies.OWNER_READER, show_application_credential,
                own_row=False, target=_target)  # fmt: skip
    delete = Delete("identity:delete_application_credential", policies.ADMIN_OR_OWNER, delete_application_credential,
                    own_row=False, target=_target)  # fmt: skip
