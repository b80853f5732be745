# SPDX-License-Identifier: Apache-2.0
"""Quota sets of projects, the defaults, and the limits a project sees of itself."""

from typing import Any

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import ADMIN, READER, Rule
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.api import schemas
from altostratus.services.block_storage.logic import quota

_LIMIT: dict[str, Any] = {
    "type": ["integer", "string"],
    "pattern": "^-?[0-9]{1,10}$",
    "minimum": -1,
    "maximum": schemas.LARGEST,
}
_SET: dict[str, Any] = {
    "type": "object",
    "properties": {"tenant_id": {}, "id": {}, "force": {}, "class_name": {}},
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,300}$": _LIMIT},
    "additionalProperties": False,
}
_NO_QUOTAS = ("tenant_id", "id", "force", "class_name")
_LIMIT_NAMES = {
    "volumes": "maxTotalVolumes",
    "snapshots": "maxTotalSnapshots",
    "gigabytes": "maxTotalVolumeGigabytes",
    "backups": "maxTotalBackups",
    "backup_gigabytes": "maxTotalBackupGigabytes",
}
_USED_NAMES = {
    "volumes": "totalVolumesUsed",
    "snapshots": "totalSnapshotsUsed",
    "gigabytes": "totalGigabytesUsed",
    "backups": "totalBackupsUsed",
    "backup_gigabytes": "totalBackupGigabytesUsed",
}
_USED_LIMITS = "limits_extension:used_limits"


def _target(call: Call) -> dict[str, Any]:
    project_id = call.params["project"]
    return {"project_id": project_id, "tenant_id": project_id}


def show(call: Call) -> Reply:
    with_usage = call.query.get("usage", ["false"])[-1].lower() in ("true", "1", "yes")
    shown = quota.shown(call.tx, call.cloud, call.params["project"], with_usage=with_usage)
    return Reply(200, {"quota_set": {"id": call.params["project"]} | shown})


def show_defaults(call: Call) -> Reply:
    limits = quota.limits(call.tx, call.cloud, None)
    return Reply(200, {"quota_set": {"id": call.params["project"]} | limits})


def update(call: Call) -> Reply:
    project_id = call.params["project"]
    wanted = _limits(call, call.body["quota_set"])
    used = quota.usage(call.tx, [project_id])
    for name, limit in wanted.items():
        if name != "per_volume_gigabytes" and -1 < limit < used.get(name, 0):
            raise BadRequest(
                f"Quota {name} limit must be equal or greater than existing resources. Current usage is "
                f"{used[name]} and the requested limit is {limit}."
            )
    call.cloud.quotas(quota.SERVICE).set_limits(call.tx, project_id, wanted)
    return Reply(200, {"quota_set": quota.shown(call.tx, call.cloud, project_id, with_usage=False)})


def _limits(call: Call, given: dict[str, Any]) -> dict[str, int]:
    """Numbers by name. Raises BadRequest for unknown names and for numbers out of range."""
    known = quota.limits(call.tx, call.cloud, None)
    wanted: dict[str, int] = {}
    for name, value in given.items():
        if name in _NO_QUOTAS:
            continue
        if name not in known:
            raise BadRequest(f"Bad key(s) in quota set: {name}. Known: {', '.join(sorted(known))}.")
        wanted[name] = int(value)
        if not -1 <= wanted[name] <= schemas.LARGEST:
            raise BadRequest(f"Quota {name} must be between -1 and {schemas.LARGEST}, not {value}.")
    return wanted


def delete(call: Call) -> Reply:
    call.cloud.quotas(quota.SERVICE).reset(call.tx, call.params["project"])
    return Reply(200)


def show_class(call: Call) -> Reply:
    name = call.params["name"]
    return Reply(200, {"quota_class_set": {"id": name} | quota.limits(call.tx, call.cloud, None)})


def update_class(call: Call) -> Reply:
    """Only the class `default` has an effect: the limits of projects without their own."""
    wanted = _limits(call, call.body["quota_class_set"])
    call.cloud.quotas(quota.SERVICE).set_limits(call.tx, call.params["name"], wanted)
    return Reply(200, {"quota_class_set": quota.limits(call.tx, call.cloud, None)})


def show_limits(call: Call) -> Reply:
    project_id = call.ctx.project_id or ""
    minor = call.version.minor if call.version else 0
    if call.ctx.is_admin and minor >= 39:
        asked = call.query.get("project_id") or call.query.get("tenant_id")
        project_id = asked[-1] if asked else project_id
    limits = quota.limits(call.tx, call.cloud, project_id)
    absolute: dict[str, Any] = {shown: limits[name] for name, shown in _LIMIT_NAMES.items()}
    if call.may(_USED_LIMITS):
        used = quota.usage(call.tx, [project_id])
        absolute |= {shown: used.get(name, 0) for name, shown in _USED_NAMES.items()}
    return Reply(200, {"limits": {"rate": [], "absolute": absolute}})


class QuotaSets(Resource, path="/os-quota-sets"):
    """Limits of a project."""

    show = Op("GET", "/{project}", "volume_extension:quotas:show", READER, show, target=_target)
    defaults = Op("GET", "/{project}/defaults", "volume_extension:quotas:show", READER, show_defaults, target=_target)
    update = Op(
        "PUT", "/{project}", "volume_extension:quotas:update", ADMIN, update, target=_target,
        body=schemas.wrapped("quota_set", _SET),
    )  # fmt: skip
    delete = Op("DELETE", "/{project}", "volume_extension:quotas:delete", ADMIN, delete, target=_target)


class QuotaClasses(Resource, path="/os-quota-class-sets"):
    """Limits of projects that have none of their own."""

    show = Op("GET", "/{name}", "volume_extension:quota_classes:get", ADMIN, show_class)
    update = Op(
        "PUT", "/{name}", "volume_extension:quota_classes:update", ADMIN, update_class,
        body=schemas.wrapped("quota_class_set", _SET),
    )  # fmt: skip


class Limits(Resource, path="/limits"):
    """What the caller's project may have, and has."""

    show = Op("GET", "", None, READER, show_limits)


RULES = (Rule(_USED_LIMITS, READER.check, "See what is in use beside the limits"),)
