# SPDX-License-Identifier: Apache-2.0
"""Quotas: counted from the rows in one query each for volumes and snapshots, also by volume type."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.quota import UNLIMITED
from altostratus.services.block_storage.errors import QuotaExceeded
from altostratus.services.block_storage.models.types import VolumeType
from altostratus.services.block_storage.models.volumes import Snapshot, Volume

SERVICE = "block_storage"
PER_TYPE = ("volumes", "snapshots", "gigabytes")
_HELP = "Delete some, or ask an administrator for a higher quota."


def usage(tx: Tx, projects: Sequence[str]) -> dict[str, int]:
    """Units that projects use together, by name, `volumes_<type>` and the like included."""
    used = dict.fromkeys(("volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups"), 0)
    volume, snapshot = table_of(Volume).c, table_of(Snapshot).c
    names = type_names(tx)
    sizes = {"volumes": (volume, func.coalesce(volume.new_size, volume.size)), "snapshots": (snapshot, snapshot.size)}
    for what, (table, size) in sizes.items():
        statement = select(table.volume_type_id, func.count().label("number"), func.sum(size).label("gigabytes"))
        for row in tx.rows(statement.where(table.project_id.in_(projects)).group_by(table.volume_type_id)):
            for name, units in ((what, row.number), ("gigabytes", int(row.gigabytes))):
                used[name] += units
                typed = f"{name}_{names.get(row.volume_type_id, row.volume_type_id)}"
                used[typed] = used.get(typed, 0) + units
    return used


def type_names(tx: Tx) -> dict[str, str]:
    """Volume type names by id."""
    table = table_of(VolumeType).c
    return {row.id: row.name for row in tx.rows(select(table.id, table.name))}


def limits(tx: Tx, cloud: Cloud, project_id: str | None) -> dict[str, int]:
    """Limits of a project (None: of projects without their own), those by volume type included."""
    typed = {f"{name}_{kind}": UNLIMITED for kind in type_names(tx).values() for name in PER_TYPE}
    quotas = cloud.quotas(SERVICE)
    return typed | (quotas.defaults(tx) if project_id is None else quotas.limits(tx, project_id))


def demand(tx: Tx, cloud: Cloud, project_id: str, type_name: str | None, wanted: Mapping[str, int]) -> None:
    """Raises QuotaExceeded when `wanted` more units (volumes, snapshots, gigabytes) would exceed a limit."""
    for ceiling in cloud.quotas(SERVICE).hold(tx, project_id):
        have = usage(tx, ceiling.projects)
        for name, units in wanted.items():
            for limited in (name, f"{name}_{type_name}"):
                limit, used = ceiling.limits.get(limited, UNLIMITED), have.get(limited, 0)
                if units > 0 and limit != UNLIMITED and used + units > limit:
                    raise _exceeded(name, limited, f"{limit}{ceiling.words}", units, used)


def _exceeded(name: str, limited: str, limit: str, units: int, used: int) -> QuotaExceeded:
    if name == "gigabytes":
        return QuotaExceeded(
            f"Requested volume or snapshot exceeds allowed {limited} quota: {units} GiB are asked for, the "
            f"quota in GiB is {limit} and {used} GiB of it are in use. {_HELP}"
        )
    return QuotaExceeded(f"Maximum number of {name} allowed ({limit}) exceeded for quota '{limited}'. {_HELP}")


def demand_volume_size(tx: Tx, cloud: Cloud, project_id: str, size_gib: int) -> None:
    """Raises QuotaExceeded for a volume that is larger than one volume may be."""
    limit = cloud.quotas(SERVICE).limits(tx, project_id).get("per_volume_gigabytes", UNLIMITED)
    if limit != UNLIMITED and size_gib > limit:
        raise QuotaExceeded(f"Requested volume size {size_gib}G is larger than maximum allowed limit {limit}G.")


def shown(tx: Tx, cloud: Cloud, project_id: str, *, with_usage: bool) -> dict[str, Any]:
    """A project's quota set."""
    allowed = limits(tx, cloud, project_id)
    if not with_usage:
        return dict(allowed)
    have = usage(tx, [project_id])
    return {
        name: {"limit": limit, "in_use": have.get(name, 0), "reserved": 0, "allocated": 0}
        for name, limit in allowed.items()
    }
