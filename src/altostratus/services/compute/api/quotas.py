# SPDX-License-Identifier: Apache-2.0
"""`/limits`, `/os-quota-sets` and `/os-quota-class-sets`: how much a project may have."""

from typing import Any, Final

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import ADMIN, ANY, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import BOOLEAN, at, wrapped
from altostratus.services.compute.logic import limits

_NAMES: Final = tuple(one.name for one in limits.COUNTABLES)
# proxied to the network service before 2.36
_NETWORK: Final = frozenset(("fixed_ips", "floating_ips", "security_groups", "security_group_rules"))
_FILES: Final = frozenset(("injected_files", "injected_file_content_bytes", "injected_file_path_bytes"))
_LIMIT: Final = {"type": ["integer", "string"], "pattern": "^-?[0-9]+$", "minimum": -1, "maximum": 0x7FFFFFFF}


def _shown_names(call: Call) -> list[str]:
    hidden: set[str] = set()
    if at(call, 36):
        hidden |= _NETWORK
    if at(call, 57):
        hidden |= _FILES
    return [name for name in _NAMES if name not in hidden]


def _body(name: str, *, files: bool, network: bool) -> dict[str, Any]:
    members: dict[str, Any] = {
        one: _LIMIT for one in _NAMES if (files or one not in _FILES) and (network or one not in _NETWORK)
    }
    if name == "quota_set":
        members |= {"force": BOOLEAN}
    return wrapped(name, {"type": "object", "properties": members, "additionalProperties": False})


def _target(call: Call) -> dict[str, Any]:
    return {"project_id": call.params["id"], "tenant_id": call.params["id"], "user_id": call.ctx.user_id}


def show_quota(call: Call) -> Reply:
    """Limits of a project."""
    known = call.cloud.quotas("compute").limits(call.tx, call.params["id"])
    return Reply(200, {"quota_set": {"id": call.params["id"]} | {name: known[name] for name in _shown_names(call)}})


def show_quota_detail(call: Call) -> Reply:
    """Limits of a project and what is in use."""
    quotas = call.cloud.quotas("compute")
    known, used = quotas.limits(call.tx, call.params["id"]), quotas.usage(call.tx, call.params["id"])
    shown: dict[str, Any] = {"id": call.params["id"]}
    for name in _shown_names(call):
        shown[name] = {"limit": known[name], "in_use": used[name], "reserved": 0}
    return Reply(200, {"quota_set": shown})


def show_defaults(call: Call) -> Reply:
    known = call.cloud.quotas("compute").defaults(call.tx)
    return Reply(200, {"quota_set": {"id": call.params["id"]} | {name: known[name] for name in _shown_names(call)}})


def update_quota(call: Call) -> Reply:
    """Change limits; below what is in use only with `force`."""
    project_id, given = call.params["id"], dict(call.body["quota_set"])
    forced = str(given.pop("force", False)).lower() in ("true", "1", "on", "yes")
    wanted = {name: int(value) for name, value in given.items()}
    quotas = call.cloud.quotas("compute")
    if not forced:
        used = quotas.usage(call.tx, project_id)
        for name, value in wanted.items():
            if 0 <= value < used.get(name, 0):
                raise BadRequest(
                    f"Quota value {value} for {name} must be greater than or equal to already used and reserved "
                    f"{used[name]}. Use force to set it anyway."
                )
    quotas.set_limits(call.tx, project_id, wanted)
    known = quotas.limits(call.tx, project_id)
    return Reply(200, {"quota_set": {name: known[name] for name in _shown_names(call)}})


def delete_quota(call: Call) -> Reply:
    call.cloud.quotas("compute").reset(call.tx, call.params["id"])
    return Reply(202)


def show_class(call: Call) -> Reply:
    """The defaults, under the name of their class."""
    known = call.cloud.quotas("compute").defaults(call.tx)
    return Reply(
        200, {"quota_class_set": {"id": call.params["id"]} | {name: known[name] for name in _class_names(call)}}
    )


def _class_names(call: Call) -> list[str]:
    grouped = ("server_groups", "server_group_members")
    return [name for name in _shown_names(call) if at(call, 50) or name not in grouped]


def update_class(call: Call) -> Reply:
    wanted = {name: int(value) for name, value in call.body["quota_class_set"].items()}
    quotas = call.cloud.quotas("compute")
    quotas.set_limits(call.tx, call.params["id"], wanted)
    known = quotas.defaults(call.tx)
    return Reply(200, {"quota_class_set": {name: known[name] for name in _class_names(call)}})


_QUOTA = "os_compute_api:os-quota-sets"
_CLASS = "os_compute_api:os-quota-class-sets"


class QuotaSets(Resource, path="/os-quota-sets"):
    """Limits of projects."""

    show = Op("GET", "/{id}", f"{_QUOTA}:show", READER, show_quota, target=_target)
    detail = Op("GET", "/{id}/detail", f"{_QUOTA}:detail", READER, show_quota_detail, target=_target)
    defaults = Op("GET", "/{id}/defaults", f"{_QUOTA}:defaults", ANY, show_defaults, target=_target)
    update = Op(
        "PUT", "/{id}", f"{_QUOTA}:update", ADMIN, update_quota, until="2.35",
        body=_body("quota_set", files=True, network=True),
    )  # fmt: skip
    update_36 = Op(
        "PUT", "/{id}", f"{_QUOTA}:update", ADMIN, update_quota, since="2.36", until="2.56",
        body=_body("quota_set", files=True, network=False),
    )  # fmt: skip
    update_57 = Op(
        "PUT", "/{id}", f"{_QUOTA}:update", ADMIN, update_quota, since="2.57",
        body=_body("quota_set", files=False, network=False),
    )  # fmt: skip
    delete = Op("DELETE", "/{id}", f"{_QUOTA}:delete", ADMIN, delete_quota)


class QuotaClassSets(Resource, path="/os-quota-class-sets"):
    """Default limits."""

    show = Op("GET", "/{id}", f"{_CLASS}:show", ADMIN, show_class)
    update = Op(
        "PUT", "/{id}", f"{_CLASS}:update", ADMIN, update_class, until="2.56",
        body=_body("quota_class_set", files=True, network=True),
    )  # fmt: skip
    update_57 = Op(
        "PUT", "/{id}", f"{_CLASS}:update", ADMIN, update_class, since="2.57",
        body=_body("quota_class_set", files=False, network=False),
    )  # fmt: skip


def show_limits(call: Call) -> Reply:
    """What the caller's project may have, and has."""
    project_id = str(call.ctx.project_id)
    for name in ("tenant_id", "project_id"):
        if name in call.query:
            call.demand("os_compute_api:limits:other_project")
            project_id = call.query[name][-1]
    quotas = call.cloud.quotas("compute")
    known, used = quotas.limits(call.tx, project_id), quotas.usage(call.tx, project_id)
    absolute: dict[str, int] = {
        "maxTotalInstances": known["instances"],
        "maxTotalCores": known["cores"],
        "maxTotalRAMSize": known["ram"],
        "maxServerMeta": known["metadata_items"],
        "maxTotalKeypairs": known["key_pairs"],
        "maxServerGroups": known["server_groups"],
        "maxServerGroupMembers": known["server_group_members"],
        "totalInstancesUsed": used["instances"],
        "totalCoresUsed": used["cores"],
        "totalRAMUsed": used["ram"],
        "totalServerGroupsUsed": used["server_groups"],
    }
    if not at(call, 57):
        absolute |= {
            "maxPersonality": known["injected_files"],
            "maxPersonalitySize": known["injected_file_content_bytes"],
        }
    if not at(call, 39):
        absolute["maxImageMeta"] = known["metadata_items"]
    if not at(call, 36):
        absolute |= {
            "maxTotalFloatingIps": known["floating_ips"],
            "maxSecurityGroups": known["security_groups"],
            "maxSecurityGroupRules": known["security_group_rules"],
            "totalFloatingIpsUsed": 0,
            "totalSecurityGroupsUsed": 0,
        }
    return Reply(200, {"limits": {"rate": [], "absolute": absolute}})


class Limits(Resource, path="/limits"):
    """Limits and usage of the caller's project."""

    show = Op("GET", "", "os_compute_api:limits", ANY, show_limits)
