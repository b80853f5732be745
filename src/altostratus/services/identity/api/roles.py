# SPDX-License-Identifier: Apache-2.0
"""Roles, and which role implies which."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    ON_OR_UNSET,
    Description,
    IdentityResource,
    Links,
    Name,
    Options,
    extra_members,
    list_reply,
    merged_options,
    simple_list,
)
from altostratus.services.identity.api.targets import existing_target, flat
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import roles

role_target = existing_target("role", models.Role)


def _needed(call: Call, domain_rule: str) -> Any:
    """The role in the path. Roles of a domain have rules of their own, asked here."""
    if call.row.domain_id is not None:
        call.demand(domain_rule, flat("role", call.row))
    return call.row


def list_roles(call: Call) -> Reply:
    role = table_of(models.Role)
    if call.query.get("domain_id", [""])[-1]:
        call.demand("identity:list_domain_roles", {})
        return list_reply(call, confined_by=None)
    call.query.pop("domain_id", None)
    return list_reply(call, select(role).where(role.c.domain_id.is_(None)), confined_by=None)


def create_role(call: Call) -> Any:
    if call.body.get("domain_id"):
        call.demand("identity:create_domain_role", flat("role", call.body))
    values = {**call.body, "extra": extra_members(call), "options": merged_options({}, call.body["options"])}
    return roles.create_role(call.tx, call.cloud, values)


def show_role(call: Call) -> Any:
    return _needed(call, "identity:get_domain_role")


def update_role(call: Call) -> Any:
    row, values = _needed(call, "identity:update_domain_role"), dict(call.body)
    if "options" in values:
        values["options"] = merged_options(row.options, values["options"])
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    return roles.update_role(call.tx, call.cloud, row, values)


def delete_role(call: Call) -> None:
    roles.delete_role(call.tx, call.cloud, _needed(call, "identity:delete_domain_role"))


class RoleFields(IdentityResource, one="role", many="roles"):
    """What a role looks like, wherever roles are listed."""

    row = models.Role
    id = Id("rs")
    name = Name(required=True)
    domain_id = Text(1, 64, "cruf", nullable=True)
    description = Description()
    options = Options(immutable=ON_OR_UNSET)
    links = Links("/roles")


class Role(RoleFields, path="/roles"):
    """A role: what assignments give."""

    index = List("identity:list_roles", policies.ROLES_READER, list_roles)
    create = Create("identity:create_role", policies.ADMIN, create_role)
    show = Show("identity:get_role", policies.ROLE_READER, show_role, own_row=False, target=role_target)
    update = Update("identity:update_role", policies.ADMIN, update_role, method="PATCH", own_row=False,
                    target=role_target)  # fmt: skip
    delete = Delete("identity:delete_role", policies.ADMIN, delete_role, own_row=False, target=role_target)


# implication


def _named(call: Call, role: Any) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "links": {"self": call.service_url(f"/roles/{role.id}")}}


def list_implied(call: Call) -> Reply:
    prior = roles.get_role(call.tx, call.params["prior_id"])
    implied = roles.inferences(call.tx, prior.id).get(prior.id, [])
    rule = {"prior_role": _named(call, prior), "implies": [_named(call, role) for role in implied]}
    return Reply(200, {"role_inference": rule, "links": {"self": call.url_without_query()}})


def _pair(call: Call) -> tuple[Any, Any]:
    prior = roles.get_role(call.tx, call.params["prior_id"])
    return prior, roles.get_role(call.tx, call.params["implied_id"])


def _rule_reply(call: Call, status: int) -> Reply:
    prior, implied = _pair(call)
    rule = {"prior_role": _named(call, prior), "implies": _named(call, implied)}
    return Reply(status, {"role_inference": rule, "links": {"self": call.url_without_query()}})


def _demand_rule(call: Call) -> None:
    prior, implied = _pair(call)
    if call.tx.find(models.ImpliedRole, prior.id, implied.id) is None:
        raise not_found(f"implied role {implied.id} of role", prior.id)


def show_implied(call: Call) -> Reply:
    _demand_rule(call)
    return _rule_reply(call, 200)


def check_implied(call: Call) -> Reply:
    _demand_rule(call)
    return Reply(204)


def create_implied(call: Call) -> Reply:
    roles.imply(call.tx, call.cloud, *_pair(call))
    return _rule_reply(call, 201)


def delete_implied(call: Call) -> None:
    prior, implied = _pair(call)
    roles.stop_implying(call.tx, call.cloud, prior.id, implied.id)


class ImpliedRole(IdentityResource, path="/roles/{prior_id}/implies"):
    """A rule: who has one role has the other."""

    what = "role"
    index = Op("GET", "", "identity:list_implied_roles", policies.ADMIN_OR_SYSTEM_READER, list_implied)
    show = Op("GET", "/{implied_id}", "identity:get_implied_role", policies.ADMIN_OR_SYSTEM_READER, show_implied)
    check = Op("HEAD", "/{implied_id}", "identity:check_implied_role", policies.ADMIN_OR_SYSTEM_READER, check_implied)
    create = Op("PUT", "/{implied_id}", "identity:create_implied_role", policies.ADMIN, create_implied)
    delete = Op("DELETE", "/{implied_id}", "identity:delete_implied_role", policies.ADMIN, delete_implied, status=204)


def list_inferences(call: Call) -> Reply:
    found = roles.inferences(call.tx)
    role = table_of(models.Role)
    priors = call.tx.rows(select(role).where(role.c.id.in_(found)).order_by(role.c.name))
    shown = [
        {"prior_role": _named(call, prior), "implies": [_named(call, implied) for implied in found[prior.id]]}
        for prior in priors
    ]
    return simple_list(call, "role_inferences", shown)


class RoleInference(IdentityResource, path="/role_inferences"):
    """All rules at once."""

    index = Op("GET", "", "identity:list_role_inference_rules", policies.ADMIN_OR_SYSTEM_READER, list_inferences)
