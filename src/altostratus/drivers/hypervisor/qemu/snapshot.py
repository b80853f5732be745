# SPDX-License-Identifier: Apache-2.0
"""Copy the root disk of a server, running or not, into a file that stands alone."""

import json
import os
import shutil
from pathlib import Path

from altostratus.contracts.hypervisor import DiskSpec, HypervisorError, ServerSpec
from altostratus.kernel import clock

from . import disks, images
from .devices import node_name
from .qmp import Event, Monitor, MonitorError
from .server import Host, Server, get_monitor

_JOB = "snapshot"
_TARGET = "snapshot-target"
_TIMEOUT_S = 3600.0


def take_snapshot(host: Host, server: Server, spec: ServerSpec) -> None:
    """Write `spec.snapshot_path`: qcow2, no backing file, owned like the directory it is in.

    The content is that of one moment, as after a power cut, if the guest runs.
    """
    disk = disks.root_disk(spec.disks)
    if spec.snapshot_path is None or disk is None:
        raise HypervisorError("A snapshot needs a root disk and a path to write to.", final=True)
    if disk.source == "volume":
        raise HypervisorError("The root disk is a volume: make a snapshot of the volume instead.", final=True)
    known = server.record.local_disks.get(disk.serial)
    if known is None or not known.file:
        raise HypervisorError("This server has not been started yet, so there is no disk to copy.", final=True)
    part = server.files.snapshot_part
    part.unlink(missing_ok=True)
    if server.is_alive():
        _copy_live(host, server, disk, part)
    else:
        _copy_stopped(host, server, disk, part)
    server.record.snapshot_size_bytes = _deliver(part, Path(spec.snapshot_path))
    server.record.snapshot_token = spec.snapshot_token
    server.store()


def _copy_stopped(host: Host, server: Server, disk: DiskSpec, part: Path) -> None:
    node = disks.disk_node(host.cache, server.files, server.record, disk)
    node.pop("node-name")
    images.convert(["-O", "qcow2", "json:" + json.dumps(node), os.fspath(part)])


def _copy_live(host: Host, server: Server, disk: DiskSpec, part: Path) -> None:
    monitor = get_monitor(host, server)
    _clear(monitor)
    found = monitor.execute("query-named-block-nodes", {"flat": True})
    size = next(int(n["image"]["virtual-size"]) for n in found if n["node-name"] == node_name(disk.serial))
    images.create_empty(part, "qcow2", size)
    if host.config.run_as is not None:
        os.chown(part, *host.config.run_as)
    file = {"driver": "file", "filename": os.fspath(part)}
    monitor.execute("blockdev-add", {"driver": "qcow2", "node-name": _TARGET, "discard": "unmap", "file": file})
    try:
        monitor.forget_events()
        monitor.execute(
            "blockdev-backup",
            {"job-id": _JOB, "device": node_name(disk.serial), "target": _TARGET, "sync": "full"},
        )
        _wait_job(server, monitor)
    finally:
        if monitor.connected:
            _clear(monitor)


def _wait_job(server: Server, monitor: Monitor) -> None:
    deadline = clock.monotonic() + _TIMEOUT_S
    while clock.monotonic() < deadline and monitor.connected and not server.hurry.is_set():
        event = monitor.find_event(1.0, _job_ended)
        if event is not None:
            told = event["data"].get("error")
            if event["event"] == "BLOCK_JOB_COMPLETED" and not told:
                return
            raise HypervisorError(f"The copy of the disk failed: {told or 'it was cancelled'}.")
    raise HypervisorError("The copy of the disk was broken off.")


def _job_ended(event: Event) -> bool:
    names = {"BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED"}
    return event["event"] in names and event["data"].get("device") == _JOB


def _clear(monitor: Monitor) -> None:
    """Remove what a try that was broken off (perhaps with the agent) has left in QEMU."""
    if any(job["device"] == _JOB for job in monitor.execute("query-block-jobs")):
        monitor.execute("block-job-cancel", {"device": _JOB, "force": True})
        monitor.find_event(10.0, _job_ended)
    try:
        monitor.execute("blockdev-del", {"node-name": _TARGET})
    except MonitorError:
        pass  # it is not there, which is what is wanted


def _deliver(part: Path, target: Path) -> int:
    """Move the finished file to its place, whole or not at all; returns its size in bytes."""
    owner = target.parent.stat()
    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
        if os.geteuid() == 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)
        os.fchmod(handle, 0o640)
        size = os.fstat(handle).st_size
    finally:
        os.close(handle)
    try:
        part.replace(target)
    except OSError:
        # Another file system.
        beside = target.with_name(target.name + ".part")
        shutil.copy2(part, beside)
        if os.geteuid() == 0:
            os.chown(beside, owner.st_uid, owner.st_gid)
        beside.replace(target)
        part.unlink(missing_ok=True)
    return size
