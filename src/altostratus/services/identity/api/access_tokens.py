# SPDX-License-Identifier: Apache-2.0
"""`/users/{user_id}/OS-OAUTH1/access_tokens`: what a user has given to consumers, and taking it back."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import NotFound
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Computed, Id, Text, Time
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, list_reply, simple_list
from altostratus.services.identity.api.delegation import demand_own_login
from altostratus.services.identity.api.roles import RoleFields
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import oauth1

_PATH = "/users/{user_id}/OS-OAUTH1/access_tokens"
_ONE = "/{access_token_id}"


def _get(call: Call) -> Row[Any]:
    """The access token of the user in the path; another user's is as good as none."""
    row = call.tx.find(models.AccessToken, call.params["access_token_id"])
    if row is None or row.user_id != call.params["user_id"]:
        raise NotFound("Access token not found.")
    return row


def list_access_tokens(call: Call) -> Reply:
    demand_own_login(call, "manage OAuth access tokens")
    token = table_of(models.AccessToken)
    statement = select(token).where(token.c.user_id == call.params["user_id"])
    return list_reply(call, statement, confined_by=None)


def show_access_token(call: Call) -> Row[Any]:
    demand_own_login(call, "manage OAuth access tokens")
    return _get(call)


def delete_access_token(call: Call) -> None:
    demand_own_login(call, "manage OAuth access tokens")
    oauth1.delete_access_token(call.tx, call.cloud, _get(call).id)


def _links(item: Any, call: Call) -> dict[str, str]:
    own = call.service_url(f"/users/{item['user_id']}/OS-OAUTH1/access_tokens/{item['id']}")
    return {"self": own, "roles": f"{own}/roles"}


class AccessToken(IdentityResource, path=_PATH, one="access_token", many="access_tokens"):
    """What a user gave to a consumer."""

    row = models.AccessToken
    id = Id("rs")
    consumer_id = Text(1, 64, "rf")
    project_id = Text(1, 64, "rf")
    authorizing_user_id = Text(1, 64, "r", source="user_id")
    expires_at = Time("r", nullable=True, form=clock.iso_micro_z)
    links = Computed(_links)
    index = Op("GET", "", "identity:list_access_tokens", policies.PROJECT_ADMIN, list_access_tokens)
    show = Op("GET", _ONE, "identity:get_access_token", policies.PROJECT_ADMIN, show_access_token)
    delete = Op("DELETE", _ONE, "identity:delete_access_token", policies.PROJECT_ADMIN, delete_access_token, status=204)


def _roles(call: Call) -> list[dict[str, Any]]:
    role = table_of(models.Role)
    rows = call.tx.rows(select(role).where(role.c.id.in_(_get(call).role_ids)).order_by(role.c.name))
    return [{k: v for k, v in shown.items() if k != "description"} for shown in call.render(rows)]


def list_access_token_roles(call: Call) -> Reply:
    return simple_list(call, "roles", _roles(call))


def show_access_token_role(call: Call) -> Reply:
    for role in _roles(call):
        if role["id"] == call.params["role_id"]:
            return Reply(200, {"role": role})
    raise not_found("role", call.params["role_id"])


class AccessTokenRole(RoleFields, path=_PATH + _ONE + "/roles"):
    """A role that is part of what was given."""

    index = Op("GET", "", "identity:list_access_token_roles", policies.PROJECT_ADMIN, list_access_token_roles)
    show = Op("GET", "/{role_id}", "identity:get_access_token_role", policies.PROJECT_ADMIN, show_access_token_role)
