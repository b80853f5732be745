# SPDX-License-Identifier: Apache-2.0
"""A token's JSON, as `POST` and `GET /v3/auth/tokens` show it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from altostratus.kernel import clock
from altostratus.services.identity.logic.access_rules import shown_rule
from altostratus.services.identity.logic.token_state import TokenState

_encode = msgspec.json.Encoder().encode


def token_json(state: TokenState, catalog: bytes | None, service_providers: Sequence[dict[str, str]] = ()) -> bytes:
    """The reply's whole body; `catalog` is JSON already, or None to leave it out."""
    token = token_members(state)
    if service_providers:
        token["service_providers"] = service_providers
    if catalog is not None and state.claims.scope != "unscoped":
        token["catalog"] = msgspec.Raw(catalog)
    return _encode({"token": token})


def token_members(state: TokenState) -> dict[str, Any]:
    claims, user = state.claims, state.user
    token: dict[str, Any] = {
        "methods": list(claims.methods),
        "user": {
            "domain": {"id": user.domain_id, "name": user.domain_name},
            "id": user.id,
            "name": user.name,
            "password_expires_at": clock.iso_micro_z(user.password_expires_at),
        },
        "audit_ids": list(claims.audit_ids),
        "expires_at": clock.iso_micro_z(claims.expires_at),
        "issued_at": clock.iso_micro_z(claims.issued_at),
    }
    if claims.federated is not None and user.id == claims.user_id:
        del token["user"]["password_expires_at"]
        token["user"]["OS-FEDERATION"] = {
            "identity_provider": {"id": claims.federated.idp_id},
            "protocol": {"id": claims.federated.protocol_id},
            "groups": [{"id": group_id} for group_id in claims.federated.group_ids],
        }
    if claims.scope == "system":
        token["system"] = {"all": True}
    elif claims.scope == "domain":
        token["domain"] = {"id": state.domain.id, "name": state.domain.name}
    elif claims.scope == "project":
        domain = {"id": state.project_domain.id, "name": state.project_domain.name}
        token["project"] = {"domain": domain, "id": state.project.id, "name": state.project.name}
        token["is_domain"] = state.project.is_domain
    if state.roles:
        token["roles"] = [{"id": role.id, "name": role.name} for role in state.roles]
    if state.application_credential is not None:
        credential = state.application_credential
        token["application_credential"] = {
            "id": credential.id,
            "name": credential.name,
            "restricted": not credential.unrestricted,
        }
        if state.access_rules:
            token["application_credential"]["access_rules"] = [shown_rule(rule) for rule in state.access_rules]
    if state.trust is not None:
        token["OS-TRUST:trust"] = {
            "id": state.trust.id,
            "impersonation": state.trust.impersonation,
            "trustor_user": {"id": state.trust.trustor_user_id},
            "trustee_user": {"id": state.trust.trustee_user_id},
        }
    if state.access_token is not None:
        access_token = state.access_token
        token["OS-OAUTH1"] = {"access_token_id": access_token.id, "consumer_id": access_token.consumer_id}
    return token
