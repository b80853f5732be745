# SPDX-License-Identifier: Apache-2.0
"""Trusts: a user (trustor) lets another one (trustee) use some of the own roles on a project."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import Forbidden
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Computed, Field, Id, ListOf, Text, Time
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, Links, extra_members, future, list_reply
from altostratus.services.identity.api.delegation import demand_no_application_credential, demand_own_login
from altostratus.services.identity.api.roles import RoleFields
from altostratus.services.identity.api.targets import body_target, flat
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import trusts

_MOST = 2**31 - 1
_PERSON = {"trustor_user_id": "identity:list_trusts_for_trustor", "trustee_user_id": "identity:list_trusts_for_trustee"}
_NAMED_ROLE = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 64},
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def _target(call: Call) -> dict[str, Any]:
    """The trust; that there is none (any more) is no secret."""
    call.row = trusts.find_trust(call.tx, call.params["trust_id"])
    if call.row is None:
        raise not_found("trust", call.params["trust_id"])
    return flat("trust", call.row)


def _target_of_deletion(call: Call) -> dict[str, Any]:
    """One that has ended, or is used up, can still be thrown away."""
    call.row = call.tx.find(models.Trust, call.params["trust_id"])
    if call.row is None:
        raise not_found("trust", call.params["trust_id"])
    return flat("trust", call.row)


def list_trusts(call: Call) -> Reply:
    """All, or those of a trustor or trustee: whoever is named is what the policy is asked about."""
    asked = [(rule, name, user_id) for name, rule in _PERSON.items() for user_id in call.query.get(name, [])]
    for rule, name, user_id in asked:
        call.demand(rule, {f"target.trust.{name}": user_id})
    if not asked:
        call.demand("identity:list_trusts", {})
    demand_no_application_credential(call)
    return list_reply(call, select(table_of(models.Trust)), confined_by=None)


def create_trust(call: Call) -> Reply:
    demand_no_application_credential(call)
    given = dict(call.body)
    parent_id = call.ctx.extra.get("trust_id")
    if parent_id is None:
        demand_own_login(call, "make a trust")
    if given["project_id"] and not given["roles"]:
        raise Forbidden("At least one role should be specified.")
    if given["trustor_user_id"] != call.ctx.user_id:
        raise Forbidden("The authenticated user should match the trustor.")
    if given.pop("redelegated_trust_id", None) not in (None, parent_id):
        raise Forbidden("redelegated_trust_id is the trust that your own token comes from; log in with that trust.")
    redelegable = bool(given.pop("allow_redelegation", False))
    given["role_ids"] = trusts.role_ids_of(call.tx, given.pop("roles"))
    values = given | {
        "project_id": given["project_id"] or None,
        "expires_at": future(given.get("expires_at")),
        "extra": extra_members(call),
    }
    row = trusts.create_trust(call.tx, call.cloud, values, redelegable=redelegable, parent_id=parent_id)
    return Reply(201, {"trust": _shown(call, row)})


def show_trust(call: Call) -> Reply:
    demand_no_application_credential(call)
    return Reply(200, {"trust": _shown(call, call.row)})


def delete_trust(call: Call) -> None:
    demand_no_application_credential(call)
    trusts.delete_trust(call.tx, call.cloud, call.row.id)


def _shown(call: Call, row: Any) -> dict[str, Any]:
    """One trust alone has its roles with it."""
    roles = _roles(call, row)
    links = {"self": _roles_url(call, row), "next": None, "previous": None}
    return call.render([row])[0] | {"roles": roles, "roles_links": links}


def _roles(call: Call, row: Any) -> list[dict[str, Any]]:
    role = table_of(models.Role)
    found = {one.id: one for one in call.tx.rows(select(role).where(role.c.id.in_(row.role_ids)))}
    return call.render_as(RoleFields, [found[role_id] for role_id in row.role_ids if role_id in found])


def _roles_url(call: Call, row: Any) -> str:
    return call.service_url(f"/OS-TRUST/trusts/{row.id}/roles")


def list_trust_roles(call: Call) -> Reply:
    demand_no_application_credential(call)
    links = {"self": _roles_url(call, call.row), "next": None, "previous": None}
    return Reply(200, {"roles": _roles(call, call.row), "links": links})


def show_trust_role(call: Call) -> Reply:
    demand_no_application_credential(call)
    for role in _roles(call, call.row):
        if role["id"] == call.params["role_id"]:
            return Reply(200, {"role": role})
    raise not_found("role", call.params["role_id"])


def _count(minimum: int) -> Field:
    schema = {"type": "integer", "minimum": minimum, "maximum": _MOST}
    return Field(schema, "cr", nullable=True, parse=lambda value: None if value is None else int(value))


class Trust(IdentityResource, path="/OS-TRUST/trusts", one="trust", many="trusts"):
    """Roles that one user lets another one use."""

    row = models.Trust
    id = Id("rs")
    trustor_user_id = Text(1, 255, "crf", required=True)
    trustee_user_id = Text(1, 255, "crf", required=True)
    project_id = Text(0, 64, "cr", nullable=True, default=None)
    impersonation = Field({"type": "boolean"}, "cr", required=True)
    expires_at = Time("cr", nullable=True, form=clock.iso_micro_z)
    remaining_uses = _count(1)
    allow_redelegation = Field({"type": "boolean"}, "c", nullable=True)
    redelegation_count = _count(0)
    redelegated_trust_id = Text(0, 64, "cr", nullable=True)
    # what is deleted is gone here, and upstream shows none that is deleted
    deleted_at = Computed(lambda row, call: None)
    roles = ListOf(_NAMED_ROLE, "c", maximum=64, default=list)
    links = Links("/OS-TRUST/trusts")
    index = List(None, policies.ANYBODY, list_trusts)
    create = Create("identity:create_trust", policies.TRUSTOR, create_trust, target=body_target("trust"))
    show = Show("identity:get_trust", policies.TRUST_READER, show_trust, path="/{trust_id}", target=_target)
    delete = Delete("identity:delete_trust", policies.ADMIN_OR_TRUSTOR, delete_trust, path="/{trust_id}",
                    target=_target_of_deletion)  # fmt: skip
    list_roles = Op("GET", "/{trust_id}/roles", "identity:list_roles_for_trust", policies.TRUST_READER,
                    list_trust_roles, target=_target)  # fmt: skip
    show_role = Op("GET", "/{trust_id}/roles/{role_id}", "identity:get_role_for_trust", policies.TRUST_READER,
                   show_trust_role, target=_target)  # fmt: skip
