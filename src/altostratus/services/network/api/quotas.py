# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/quotas`."""

from typing import Any

from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic.quotas import QUOTAS
from altostratus.services.network.policies import QUOTA_READER

_LIMIT = {"type": ["integer", "string"], "minimum": -1, "maximum": 2**31 - 1, "pattern": "^(-1|[0-9]{1,10})$"}
_BODY = {
    "type": "object",
    "properties": {
        "quota": {
            "type": "object",
            "properties": {
                **{resource.name: _LIMIT for resource in QUOTAS},
                "project_id": {"type": "string"},
                "tenant_id": {"type": "string"},
                "check_limit": {"type": ["boolean", "string"]},
                "force": {"type": ["boolean", "string"]},
            },
            "additionalProperties": False,
        }
    },
    "required": ["quota"],
    "additionalProperties": False,
}
_CONTROL = ("project_id", "tenant_id", "check_limit", "force")


def project_target(call: Call) -> dict[str, Any]:
    return {"project_id": call.params["id"], "tenant_id": call.params["id"], "user_id": call.ctx.user_id}


def list_quotas(call: Call) -> Any:
    """The quotas of projects that have their own."""
    quotas = call.cloud.quotas("network")
    found = [
        {**_known(quotas.limits(call.tx, id)), "project_id": id, "tenant_id": id} for id in quotas.projects(call.tx)
    ]
    return Reply(200, {"quotas": found})


def _known(limits: dict[str, int]) -> dict[str, int]:
    """Without names that identity keeps limits for and this service does not count."""
    return {resource.name: limits[resource.name] for resource in QUOTAS}


def show_quota(call: Call) -> Any:
    """The limits of a project."""
    return Reply(200, {"quota": _known(call.cloud.quotas("network").limits(call.tx, call.params["id"]))})


def show_default(call: Call) -> Any:
    """The limits of a project that has none of its own."""
    return Reply(200, {"quota": _known(call.cloud.quotas("network").defaults(call.tx))})


def show_details(call: Call) -> Any:
    """The limits of a project and what it uses."""
    quotas = call.cloud.quotas("network")
    used = quotas.usage(call.tx, call.params["id"])
    limits = _known(quotas.limits(call.tx, call.params["id"]))
    details = {name: {"limit": limit, "used": used[name], "reserved": 0} for name, limit in limits.items()}
    return Reply(200, {"quota": details})


def show_own_project(call: Call) -> Any:
    """The caller's project, as old clients ask for it."""
    return Reply(200, {"tenant": {"tenant_id": call.ctx.project_id}})


def update_quota(call: Call) -> Any:
    """Give a project its own limits."""
    given = call.body["quota"]
    limits = {name: int(value) for name, value in given.items() if name not in _CONTROL}
    if any(limit > 2**31 - 1 for limit in limits.values()):
        raise invalid("Quota limit exceeds the valid range: -1 to 2147483647.")
    quotas = call.cloud.quotas("network")
    if str(given.get("check_limit", "")).lower() == "true":
        used = quotas.usage(call.tx, call.params["id"])
        over = [name for name, limit in limits.items() if -1 < limit < used[name]]
        if over:
            raise invalid(f"Quota limit for {', '.join(over)} is below what the project uses already.")
    quotas.set_limits(call.tx, call.params["id"], limits)
    return show_quota(call)


def delete_quota(call: Call) -> Any:
    """Back to the default limits."""
    call.cloud.quotas("network").reset(call.tx, call.params["id"])
    return Reply(204)


class QuotaResource(Resource, path="/quotas", one="quota", many="quotas"):
    """How much of everything a project may have."""

    index = Op("GET", "", "get_quota", QUOTA_READER, list_quotas, target=lambda call: {})
    own = Op("GET", "/tenant", None, QUOTA_READER, show_own_project)
    own_project = Op("GET", "/project", None, QUOTA_READER, show_own_project)
    show = Op("GET", "/{id}", "get_quota", QUOTA_READER, show_quota, target=project_target)
    default = Op("GET", "/{id}/default", "get_quota", QUOTA_READER, show_default, target=project_target)
    details = Op("GET", "/{id}/details", "get_quota", QUOTA_READER, show_details, target=project_target)
    update = Op("PUT", "/{id}", "update_quota", ADMIN, update_quota, body=_BODY)
    delete = Op("DELETE", "/{id}", "delete_quota", ADMIN, delete_quota, status=204)
