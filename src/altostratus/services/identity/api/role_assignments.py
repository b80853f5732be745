# SPDX-License-Identifier: Apache-2.0
"""`GET /v3/role_assignments`: who has which role where."""

from typing import Any, Literal

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, is_asked, simple_list
from altostratus.services.identity.directory import looking
from altostratus.services.identity.logic.assignment_lists import (
    Assignment,
    Names,
    Question,
    list_assignments,
    names_of,
)

_CONTRADICTIONS = (
    ("scope.domain.id", "scope.project.id", "Specify a domain or project, not both"),
    ("scope.domain.id", "scope.system", "Specify system or domain, not both"),
    ("scope.project.id", "scope.system", "Specify system or project, not both"),
    ("user.id", "group.id", "Specify a user or group, not both"),
)


def _target(call: Call) -> dict[str, Any]:
    """A token of a domain asks about its domain; a question about a tree is about the project's domain."""
    if is_asked(call, "include_subtree"):
        project = call.tx.find(models.Project, _one(call, "scope.project.id") or "")
        domain_id = None if project is None else project.domain_id or project.id
    else:
        domain_id = call.ctx.domain_id
    return {"target.domain_id": domain_id} if domain_id else {}


def list_role_assignments(call: Call) -> Reply:
    question = _question(call)
    if question.effective:
        looking.refresh_actors(call.cloud, question)
    with call.cloud.db.read() as call.tx:
        return _list(call, question)


def _list(call: Call, question: Question) -> Reply:
    if question.subtree:
        call.demand("identity:list_role_assignments_for_tree", _target(call))
        if question.project_id is None:
            raise BadRequest("scope.project.id must be specified if include_subtree is also specified")
    found = list_assignments(call.tx, question)
    names = names_of(call.tx, found)
    if call.ctx.domain_id is not None:
        found = [one for one in found if _domain_of(one, names) == call.ctx.domain_id]
    with_names = is_asked(call, "include_names")
    shown = [_shown(call, one, names if with_names else None) for one in found]
    return simple_list(call, "role_assignments", shown)


def _one(call: Call, name: str) -> str | None:
    return call.query.get(name, [""])[-1] or None


def _question(call: Call) -> Question:
    for first, second, words in _CONTRADICTIONS:
        if _one(call, first) and _one(call, second):
            raise BadRequest(words)
    inherited = None
    if "scope.OS-INHERIT:inherited_to" in call.query:
        inherited = _one(call, "scope.OS-INHERIT:inherited_to") == "projects"
    effective = is_asked(call, "effective")
    if effective and _one(call, "group.id"):
        raise BadRequest("Combining effective and group filter will always result in an empty list.")
    if effective and inherited and _one(call, "scope.domain.id"):
        raise BadRequest("Combining effective, domain and inherited filters will always result in an empty list.")
    return Question(
        role_id=_one(call, "role.id"),
        user_id=_one(call, "user.id"),
        group_id=_one(call, "group.id"),
        project_id=_one(call, "scope.project.id"),
        domain_id=_one(call, "scope.domain.id"),
        system=_one(call, "scope.system") is not None,
        inherited=inherited,
        effective=effective,
        subtree=is_asked(call, "include_subtree"),
    )


def _domain_of(one: Assignment, names: Names) -> str | None:
    place = names.places.get(one.target_id)
    return None if place is None else str(place.domain_id or place.id)


def _shown(call: Call, one: Assignment, names: Names | None) -> dict[str, Any]:
    links = {"assignment": call.service_url(_path(one))}
    scope: dict[str, Any]
    if one.target_kind == "system":
        scope = {"system": {"all": True}}
    else:
        scope = {one.target_kind: _thing(one.target_id, names, "places")}
    if one.inherited or one.via_target is not None:
        scope["OS-INHERIT:inherited_to"] = "projects"
    if one.via_group is not None:
        links["membership"] = call.service_url(f"/groups/{one.via_group}/users/{one.actor_id}")
    if one.via_role is not None:
        links["prior_role"] = call.service_url(f"/prior_role/{one.via_role}/implies/{one.role_id}")
    return {
        "scope": scope,
        one.actor_kind: _thing(one.actor_id, names, "actors"),
        "role": _thing(one.role_id, names, "roles"),
        "links": links,
    }


def _thing(identifier: str, names: Names | None, kind: Literal["actors", "places", "roles"]) -> dict[str, Any]:
    """An id, with name and domain when names are asked for."""
    if names is None:
        return {"id": identifier}
    row = {"actors": names.actors, "places": names.places, "roles": names.roles}[kind].get(identifier)
    if row is None:
        return {"id": identifier}
    shown: dict[str, Any] = {"id": identifier, "name": row.name}
    if row.domain_id is not None:
        domain = names.places.get(row.domain_id)
        shown["domain"] = {"id": row.domain_id, "name": domain.name if domain is not None else None}
    return shown


def _path(one: Assignment) -> str:
    """Where the assignment was given."""
    kind, identifier = one.via_target or (one.target_kind, one.target_id)
    place = "/system" if kind == "system" else f"/{kind}s/{identifier}"
    actor = f"/groups/{one.via_group}" if one.via_group else f"/{one.actor_kind}s/{one.actor_id}"
    path = f"{place}{actor}/roles/{one.via_role or one.role_id}"
    return f"/OS-INHERIT{path}/inherited_to_projects" if one.inherited or one.via_target else path


class RoleAssignment(IdentityResource, path="/role_assignments", many="role_assignments"):
    """Who has which role where."""

    index = Op("GET", "", "identity:list_role_assignments", policies.LIST_READER, list_role_assignments,
               tx="none", target=_target)  # fmt: skip
