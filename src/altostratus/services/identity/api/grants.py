# SPDX-License-Identifier: Apache-2.0
"""Role assignments under their targets: `/projects/{id}/users/{id}/roles/{id}` and its nine relatives."""

from typing import Any

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import List, Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import list_reply
from altostratus.services.identity.api.roles import RoleFields
from altostratus.services.identity.api.targets import flat
from altostratus.services.identity.logic import assignments
from altostratus.services.identity.logic.assignments import Place, system_place


def _place(call: Call) -> Place:
    """Who and where, from the names in the path."""
    actor_kind = "user" if "user_id" in call.params else "group"
    actor_id = call.params[f"{actor_kind}_id"]
    inherited = (call.resource.path or "").startswith("/OS-INHERIT")
    for kind in ("project", "domain"):
        if f"{kind}_id" in call.params:
            return Place(actor_kind, actor_id, kind, call.params[f"{kind}_id"], inherited)
    return system_place(actor_kind, actor_id)


def _target(call: Call) -> dict[str, Any]:
    place = _place(call)
    target = flat(place.actor_kind, call.tx.find(_model(place.actor_kind), place.actor_id))
    target["target.inherited"] = place.inherited
    if place.target_kind != "system":
        target |= flat(place.target_kind, call.tx.find(models.Project, place.target_id))
    if "role_id" in call.params:
        role = call.tx.find(models.Role, call.params["role_id"])
        if role is not None:
            target |= {"target.role.domain_id": None} | flat("role", role)
    return target


def _model(actor_kind: str) -> type[models.User | models.Group]:
    return models.User if actor_kind == "user" else models.Group


def list_grants(call: Call) -> Reply:
    place = _place(call)
    assignments.demand_place(call.tx, place)
    return list_reply(call, assignments.granted(place), confined_by=None)


def check_grant(call: Call) -> None:
    assignments.demand_grant(call.tx, _place(call), call.params["role_id"])


def create_grant(call: Call) -> None:
    assignments.grant(call.tx, call.cloud, _place(call), call.params["role_id"])


def revoke_grant(call: Call) -> None:
    assignments.revoke(call.tx, call.cloud, _place(call), call.params["role_id"])


def _grants(target: str, actor: str, *, inherited: bool = False) -> type[Resource]:
    """The four operations on the roles of one kind of actor on one kind of target."""
    prefix, suffix = ("/OS-INHERIT", "/inherited_to_projects") if inherited else ("", "")
    one = f"/{{role_id}}{suffix}"

    class Grant(RoleFields, path=f"{prefix}/{target}s/{{{target}_id}}/{actor}s/{{{actor}_id}}/roles"):
        """Roles of a user or group on a project or domain."""

        index = List("identity:list_grants", policies.GRANTS_READER, list_grants, path=suffix, target=_target)
        check = Op("GET", one, "identity:check_grant", policies.GRANT_READER, check_grant, status=204, target=_target)
        give = Op("PUT", one, "identity:create_grant", policies.GRANT_WRITER, create_grant, status=204, target=_target)
        take = Op("DELETE", one, "identity:revoke_grant", policies.GRANT_WRITER, revoke_grant, status=204,
                  target=_target)  # fmt: skip

    return Grant


def _system_grants(actor: str) -> type[Resource]:
    class SystemGrant(RoleFields, path=f"/system/{actor}s/{{{actor}_id}}/roles"):
        """Roles of a user or group on the whole system."""

        index = List(f"identity:list_system_grants_for_{actor}", policies.ADMIN_OR_SYSTEM_READER, list_grants,
                     target=_target)  # fmt: skip
        check = Op("GET", "/{role_id}", f"identity:check_system_grant_for_{actor}", policies.ADMIN_OR_SYSTEM_READER,
                   check_grant, status=204, target=_target)  # fmt: skip
        give = Op("PUT", "/{role_id}", f"identity:create_system_grant_for_{actor}", policies.ADMIN, create_grant,
                  status=204, target=_target)  # fmt: skip
        take = Op("DELETE", "/{role_id}", f"identity:revoke_system_grant_for_{actor}", policies.ADMIN, revoke_grant,
                  status=204, target=_target)  # fmt: skip

    return SystemGrant


GRANTS: tuple[type[Resource], ...] = (
    *(_grants(target, actor) for target in ("project", "domain") for actor in ("user", "group")),
    *(_grants(target, actor, inherited=True) for target in ("project", "domain") for actor in ("user", "group")),
    *(_system_grants(actor) for actor in ("user", "group")),
)
