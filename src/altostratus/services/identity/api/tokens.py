# SPDX-License-Identifier: Apache-2.0
"""Tokens: issue, validate, check, revoke. No body of these requests is ever logged."""

from typing import Any

import msgspec
from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import Forbidden
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import parse_bool
from altostratus.kernel.resource.operations import List, Op, Reply
from altostratus.services.identity import models
from altostratus.services.identity.api.declaring import IdentityResource, list_reply
from altostratus.services.identity.api.domains import DomainFields
from altostratus.services.identity.api.projects import ProjectFields, own_projects
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import assignments
from altostratus.services.identity.logic.changes import void_cached_tokens
from altostratus.services.identity.logic.login import TRUST, missing
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.models import Revocation
from altostratus.services.identity.tokens.attempt import HttpRequest
from altostratus.services.identity.tokens.authenticator import Entry, TokenAuthenticator
from altostratus.services.identity.tokens.login import log_in
from altostratus.services.identity.tokens.methods import METHODS
from altostratus.services.identity.tokens.methods.schemas import NAMED, NAMED_IN_DOMAIN, WORD

AUTH_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {
                        "methods": {"type": "array", "items": WORD, "maxItems": 16},
                        **{name: method.schema for name, method in METHODS.items()},
                    },
                    "required": ["methods"],
                },
                "scope": {
                    "type": ["object", "string"],
                    "properties": {
                        "project": NAMED_IN_DOMAIN,
                        "domain": NAMED,
                        "system": {"type": "object", "properties": {"all": {"type": "boolean"}}},
                        TRUST: {"type": "object", "properties": {"id": WORD}},
                    },
                },
            },
            "required": ["identity"],
        }
    },
    "required": ["auth"],
}


def issue_token(call: Call) -> Reply:
    token, entry = log_in(call.cloud, call.body["auth"], HttpRequest("POST", call.url(), call.headers, call.peer))
    return token_reply(call, 201, token, entry)


def validate_token(call: Call) -> Reply:
    token, entry = _understood_subject(call, "identity:validate_token")
    return token_reply(call, 200, token, entry)


def check_token(call: Call) -> Reply:
    token, entry = _understood_subject(call, "identity:check_token")
    return token_reply(call, 200, token, entry)


def revoke_token(call: Call) -> Reply:
    _, entry = _subject(call, "identity:revoke_token")
    claims = entry.state.claims
    with call.cloud.db.write() as tx:
        if tx.find(Revocation, claims.audit_ids[0]) is None:
            tx.insert(Revocation, audit_id=claims.audit_ids[0], expires_at=claims.expires_at)
        void_cached_tokens(tx, call.cloud)
    return Reply(204)


def token_reply(call: Call, status: int, token: str, entry: Entry) -> Reply:
    body = call.cloud.part(TokenAuthenticator).json_of(entry, with_catalog="nocatalog" not in call.query)
    headers = {"X-Subject-Token": token, "Vary": "X-Auth-Token"}
    return Reply(status, body, headers=headers, content_type="application/json")


def _subject(call: Call, rule: str) -> tuple[str, Entry]:
    """The token that the request is about. Raises NotFound if it is void, Forbidden if the caller may not."""
    token = call.headers.get("X-SUBJECT-TOKEN")
    if not token:
        raise missing("X-Subject-Token", "headers")
    expired_s = 0
    if "allow_expired" in call.query and parse_bool(call.query["allow_expired"][-1] or "1"):
        expired_s = call.cloud[IdentityOptions].expired_window_s
    try:
        entry = call.cloud.part(TokenAuthenticator).entry(token, expired_s=expired_s)
    except VoidTokenError:
        raise not_found("token", "it is unknown, expired or revoked") from None
    # of a trust's token, trustor and trustee may both ask
    logged_in = entry.state.claims.user_id
    holder = logged_in if call.ctx.user_id == logged_in else entry.state.user.id
    call.demand(rule, {"target.token.user_id": holder})
    return token, entry


def _understood_subject(call: Call, rule: str) -> tuple[str, Entry]:
    """Who would not honour a token's access rules is not told that it is valid, as upstream has it."""
    token, entry = _subject(call, rule)
    if entry.context.access_rules is not None and not _honours_access_rules(call):
        raise not_found("token", "it has access rules, which the header OpenStack-Identity-Access-Rules: 1 must accept")
    return token, entry


def _honours_access_rules(call: Call) -> bool:
    try:
        return float(call.headers.get("OPENSTACK-IDENTITY-ACCESS-RULES", "0")) >= 1
    except ValueError:
        return False


class Token(IdentityResource, path="/auth/tokens"):
    """A token: who somebody is, and what for."""

    issue = Op("POST", "", None, "@", issue_token, status=201, tx="none", public=True, body=AUTH_BODY)
    validate = Op("GET", "", None, "@", validate_token, tx="none", beyond_access_rules=True)
    check = Op("HEAD", "", None, "@", check_token, tx="none")
    revoke = Op("DELETE", "", None, "@", revoke_token, status=204, tx="none")


# what a user can ask a token for


def _groups_of_token(call: Call) -> tuple[str, ...]:
    """Groups that an identity provider put the user in, for the life of this token."""
    groups: tuple[str, ...] = call.ctx.extra.get("group_ids", ())
    return groups


def list_auth_projects(call: Call) -> Reply:
    return own_projects(call, call.ctx.user_id, _groups_of_token(call))


class AuthProject(ProjectFields, path="/auth/projects"):
    """A project that the caller can ask a token for."""

    index = List("identity:get_auth_projects", "@", list_auth_projects)


class FederationProject(ProjectFields, path="/OS-FEDERATION/projects"):
    """The same under its old path."""

    index = List("identity:get_auth_projects", "@", list_auth_projects)


def list_auth_domains(call: Call) -> Reply:
    domain = table_of(models.Project)
    mine = assignments.domain_ids_of_user(call.ctx.user_id, _groups_of_token(call))
    return list_reply(call, select(domain).where(domain.c.id.in_(mine)), confined_by=None)


class AuthDomain(DomainFields, path="/auth/domains"):
    """A domain that the caller can ask a token for."""

    index = List("identity:get_auth_domains", "@", list_auth_domains)


class FederationDomain(DomainFields, path="/OS-FEDERATION/domains"):
    """The same under its old path."""

    index = List("identity:get_auth_domains", "@", list_auth_domains)


def show_auth_system(call: Call) -> Reply:
    system = [{"all": True}] if assignments.has_system_role(call.tx, call.ctx.user_id, _groups_of_token(call)) else []
    return Reply(200, {"system": system, "links": {"self": call.url_without_query()}})


def show_auth_catalog(call: Call) -> Reply:
    if call.ctx.project_id is None:
        raise Forbidden("A project-scoped token is required to produce a service catalog.")
    catalog = call.cloud.part(TokenAuthenticator).catalog_json(call.ctx.user_id, call.ctx.project_id)
    return Reply(200, {"catalog": msgspec.Raw(catalog), "links": {"self": call.url_without_query()}})


class AuthScope(IdentityResource, path="/auth"):
    """What the caller's token reaches."""

    system = Op("GET", "/system", "identity:get_auth_system", "@", show_auth_system)
    catalog = Op("GET", "/catalog", "identity:get_auth_catalog", "@", show_auth_catalog)
