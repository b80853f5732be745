# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1/policy/explanation`: may somebody do something, by which rule, and through which assignment."""

from collections.abc import Sequence
from typing import Any, TypeVar

from altostratus.app.admin.operations import Found, find_rule
from altostratus.kernel.auth import Context
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN, Policy, scope_of
from altostratus.kernel.policy_checks import OwnThings
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import public as identity

Info = TypeVar("Info", identity.UserInfo, identity.ProjectInfo)
_TEXT = {"type": "string", "minLength": 1, "maxLength": 300}
_QUERY = dict.fromkeys(("user", "operation", "project", "domain", "system"), _TEXT)


def explain(call: Call) -> Reply:
    """Is an operation allowed to a user, for what belongs to the project, and why."""
    user = _one(identity.users_named(call.tx, _asked(call, "user")), "user", _asked(call, "user"))
    found = find_rule(call.cloud.all_services(), _asked(call, "operation"))
    scope, scope_id, place = _scope(call, user)
    held = identity.held_roles(call.tx, user.id, scope, scope_id)
    context, void = _context(call, user, scope, scope_id)
    shown = {
        "user": {"id": user.id, "name": user.name, "domain_id": user.domain_id},
        "scope": {"kind": scope, "id": scope_id, "name": place},
        "service": found.service.type,
        "rule": found.rule,
        "roles": [_shown(one) for one in held],
    }
    return Reply(200, {"explanation": shown | _judge(call, found, context, void, held)})


def _judge(
    call: Call, found: Found, context: Context, void: str | None, held: Sequence[identity.HeldRole]
) -> dict[str, Any]:
    if found.rule is None:
        return {"allowed": found.public or void is None, "check": None, "source": None} | {
            "why": _why_without_rule(found, void),
            "because": [],
            "would_allow": [],
        }
    policy = call.cloud.policy(found.service.type)
    origin = policy.origin(found.rule)
    own = OwnThings(context)
    allowed = void is None and policy.allows(found.rule, context, own)
    deciding = _deciding(policy, found.rule, context) if allowed else []
    return {
        "allowed": allowed,
        "check": policy.describe(found.rule),
        "source": "default" if origin is None else str(origin),
        "default_check": policy.declared[found.rule].check if found.rule in policy.declared else None,
        "why": void or _why(policy, found.rule, context, allowed, deciding),
        "because": [_shown(one) for one in held if one.role in deciding],
        "would_allow": [] if allowed else policy.roles_that_allow(found.rule, context, own),
    }


def _deciding(policy: Policy, rule: str, context: Context) -> list[str]:
    """Roles of the caller that let it through: each alone if one is enough, else all that the rule names."""
    own = OwnThings(context)
    if policy.allows(rule, context.with_roles(frozenset()), own):
        return []
    named = [role for role in policy.named_roles(rule) if role in context.roles]
    alone = [role for role in named if policy.allows(rule, context.with_roles(frozenset({role})), own)]
    return alone or named


def _why(policy: Policy, rule: str, context: Context, allowed: bool, deciding: list[str]) -> str:
    if not allowed:
        return policy.advice(rule, context)
    if not deciding:
        return "It takes no role: who may is decided by whose it is."
    return f"Allowed by the role {' or '.join(deciding)}, for what belongs to the {scope_of(context)}."


def _why_without_rule(found: Found, void: str | None) -> str:
    if found.public:
        return "It is open to everybody; no token is asked for."
    return void or "Any valid token may ask; no rule decides before."


def _context(call: Call, user: identity.UserInfo, scope: str, scope_id: str) -> tuple[Context, str | None]:
    """What services see of the user, and why it gets no token at all (None: it gets one)."""
    try:
        return identity.would_be_context(call.tx, user.id, scope, scope_id), None
    except identity.VoidTokenError as error:
        bare = Context(
            user_id=user.id,
            project_id=scope_id if scope == "project" else None,
            domain_id=scope_id if scope == "domain" else None,
            system=scope == "system",
            names={"user_domain_id": user.domain_id},
        )
        return bare, f"It gets no token there: {error}."


def _scope(call: Call, user: identity.UserInfo) -> tuple[str, str, str]:
    """(kind, id, name) of the scope that is asked about."""
    if "system" in call.query:
        return "system", "all", "all"
    if "domain" in call.query:
        name = _asked(call, "domain")
        domain = _one(identity.domains_named(call.tx, name), "domain", name)
        return "domain", domain.id, domain.name
    project = _project(call, user) if "project" in call.query else _only_project(call, user)
    return "project", project.id, project.name


def _project(call: Call, user: identity.UserInfo) -> identity.ProjectInfo:
    name = _asked(call, "project")
    found = identity.projects_named(call.tx, name)
    same = [one for one in found if one.domain_id == user.domain_id]
    return _one(same if len(same) == 1 else found, "project", name)


def _only_project(call: Call, user: identity.UserInfo) -> identity.ProjectInfo:
    found = identity.projects_of_user(call.tx, user.id)
    if len(found) != 1:
        names = ", ".join(sorted(one.name for one in found)) or "none"
        raise BadRequest(f"Rights are rights somewhere: give a project. User {user.name} has roles on: {names}.")
    return found[0]


def _asked(call: Call, name: str) -> str:
    if name not in call.query:
        raise BadRequest(f"The query needs {name}=...")
    return call.query[name][-1]


def _one(found: list[Info], what: str, name: str) -> Info:
    if not found:
        raise NotFound(f"There is no {what} {name!r}.")
    if len(found) > 1:
        ids = ", ".join(f"{one.id} (domain {one.domain_id})" for one in found[:5])
        raise BadRequest(f"Several {what}s are named {name!r}; give an id: {ids}.")
    return found[0]


def _shown(held: identity.HeldRole) -> dict[str, Any]:
    return {
        "role": held.role,
        "group": held.group,
        "inherited_from": held.inherited_from,
        "implied_by": held.implied_by,
    }


class PolicyExplanation(Resource, path="/policy/explanation"):
    """Why something is allowed or refused."""

    show = Op("GET", "", "alto:policy:explain", ADMIN, explain, query=_QUERY)
