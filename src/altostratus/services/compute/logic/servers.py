# SPDX-License-Identifier: Apache-2.0
"""Queries about servers, and the checks that come before every change of one."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.kernel.jobs.models import JobRow
from altostratus.kernel.jobs.records import step_name
from altostratus.services.compute.logic import states
from altostratus.services.compute.models.servers import BlockDevice, Server

EVENT_PUBLISHER: Final = "compute"


class Progress(NamedTuple):
    """What is going on with a server."""

    kind: str | None
    task_state: str | None


# a stuck job shows as ERROR, not as a task
_UNFINISHED: Final = ("queued", "runnable", "running", "parked")
_IDLE: Final = Progress(None, None)
_LEAVING: Final = Progress("server.delete", "deleting")
_job, _device = table_of(JobRow).c, table_of(BlockDevice).c
# made once: lists of servers are asked for often, and building a statement costs as much as running it
_jobs: Final = (
    select(_job.resource_id, _job.kind, _job.step, _job.steps)
    .where(
        _job.resource == "server",
        _job.resource_id.in_(bindparam("servers", expanding=True)),
        _job.state.in_(_UNFINISHED),
    )
    .order_by(_job.sequence)
)
_volumes: Final = (
    select(_device.server_id, _device.volume_id, _device.delete_on_termination)
    .where(_device.server_id.in_(bindparam("servers", expanding=True)), _device.volume_id.is_not(None))
    .order_by(_device.position)
)


def progress_of(tx: Tx, rows: Iterable[Row[Any]]) -> dict[str, Progress]:
    """Server id -> what is going on, from unfinished jobs; one query. A wish to delete outranks everything."""
    found: dict[str, Progress] = {}
    leaving: list[str] = []
    for row in rows:
        found[row.id] = _IDLE
        if row.delete_requested and not row.deleted:
            leaving.append(row.id)
    for job in tx.execute(_jobs, {"servers": list(found)}).fetchall() if found else ():
        if found[job.resource_id].task_state is None:
            task = states.task_state_of(job.kind, step_name(job))
            found[job.resource_id] = Progress(job.kind, task)
    for server_id in leaving:
        found[server_id] = _LEAVING
    return found


def task_state(tx: Tx, row: Row[Any]) -> str | None:
    return progress_of(tx, [row])[row.id].task_state


def demand_unlocked(row: Row[Any], *, may_override: bool) -> None:
    """Raises Conflict for a locked server."""
    if row.locked_by and not may_override:
        reason = f" Reason: {row.locked_reason}." if row.locked_reason else ""
        raise Conflict(f"Instance {row.id} is locked.{reason} Unlock it first.", kind="InstanceIsLocked")


def demand_state(
    tx: Tx, row: Row[Any], action: str, vm_states: Collection[str] | None, *, any_task: bool = False
) -> None:
    """Raises Conflict unless the server is in one of `vm_states` (None: all) and nothing else is going on."""
    if vm_states is not None and row.vm_state not in vm_states:
        raise Conflict(
            f"Cannot '{action}' instance {row.id} while it is in vm_state {row.vm_state}", kind="InstanceInvalidState"
        )
    if any_task:
        return
    task = task_state(tx, row)
    if task is not None:
        raise Conflict(
            f"Cannot '{action}' instance {row.id} while it is in task_state {task}", kind="InstanceInvalidState"
        )


def touch(tx: Tx, server_id: str, **values: Any) -> None:
    """Change a server's row and its `updated_at`."""
    tx.update(Server, server_id, updated_at=clock.now(), **values)


def devices_of(tx: Tx, server_ids: Collection[str]) -> dict[str, list[Row[Any]]]:
    """Server id -> its block devices in their order (a rescue disk comes first); one query."""
    table = table_of(BlockDevice)
    found: dict[str, list[Row[Any]]] = {server_id: [] for server_id in server_ids}
    statement = select(table).where(table.c.server_id.in_(list(server_ids))).order_by(table.c.position)
    for row in tx.rows(statement):
        found[row.server_id].append(row)
    return found


def volumes_of(tx: Tx, server_ids: Collection[str]) -> dict[str, list[tuple[str, bool]]]:
    """Server id -> (volume id, delete_on_termination) in their order; one query."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for row in tx.execute(_volumes, {"servers": list(server_ids)}).fetchall():
        found.setdefault(row.server_id, []).append((row.volume_id, row.delete_on_termination))
    return found


def _sum(tx: Tx, projects: Sequence[str], what: Any) -> int:
    server = table_of(Server).c
    return int(tx.scalar(select(what).where(server.project_id.in_(projects), server.deleted.is_(False))) or 0)


def count_servers(tx: Tx, projects: Sequence[str]) -> int:
    return _sum(tx, projects, func.count())


def count_cores(tx: Tx, projects: Sequence[str]) -> int:
    return _sum(tx, projects, func.sum(table_of(Server).c.vcpus))


def count_ram(tx: Tx, projects: Sequence[str]) -> int:
    """Memory of the projects' servers in MiB."""
    return _sum(tx, projects, func.sum(table_of(Server).c.memory_mib))


def find_servers(tx: Tx, server_ids: Iterable[str]) -> list[Row[Any]]:
    """Servers that are not deleted, in no order; ids that name none are left out."""
    table = table_of(Server)
    return tx.rows(select(table).where(table.c.id.in_(list(server_ids)), table.c.deleted.is_(False)))


def find_named(tx: Tx, name_or_id: str) -> list[Row[Any]]:
    """Servers of every project that are not deleted and have this name or id, by their ids."""
    table = table_of(Server)
    named = or_(table.c.id == name_or_id, table.c.name == name_or_id)
    return tx.rows(select(table).where(named, table.c.deleted.is_(False)).order_by(table.c.id))


def notify(tx: Tx, cloud: Cloud, row: Any, event: str, **more: Any) -> None:
    """Emit `compute.instance.<event>` with what upstream's consumers read."""
    payload = {
        "instance_id": row.id,
        "tenant_id": row.project_id,
        "user_id": row.user_id,
        "display_name": row.name,
        "hostname": row.hostname,
        "host": row.host,
        "state": row.vm_state,
        "instance_type": row.flavor.get("original_name"),
        "instance_flavor_id": row.flavor_id,
        "memory_mb": row.memory_mib,
        "vcpus": row.vcpus,
        "disk_gb": row.flavor.get("disk", 0) + row.flavor.get("ephemeral", 0),
        "root_gb": row.flavor.get("disk", 0),
        "ephemeral_gb": row.flavor.get("ephemeral", 0),
        "image_ref_url": row.image_id,
        "availability_zone": row.availability_zone,
        "created_at": row.created_at,
        "launched_at": row.launched_at or "",
        "deleted_at": row.deleted_at or "",
        "metadata": row.custom_metadata,
        **more,
    }
    cloud.events.emit(tx, f"compute.instance.{event}", payload, publisher_id=f"{EVENT_PUBLISHER}.{row.host or 'api'}")
