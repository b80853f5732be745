# SPDX-License-Identifier: Apache-2.0
"""Bring a guest up: files, devices, process."""

import os
import shutil
import time

from altostratus.contracts.hypervisor import HypervisorError, ServerSpec
from altostratus.kernel import clock

from . import disks
from .command import Parts, build_command
from .config_drive import build_config_drive, content_hash
from .devices import Properties, disk_device, disk_id, nic_device, nic_id, nic_netdev, plan_ports
from .qmp import MonitorLostError
from .server import Host, Server, connect_monitor, end_process
from .taps import open_tap

_READY_TIMEOUT_S = 20.0


def start(host: Host, server: Server, spec: ServerSpec, *, incoming: bool = False) -> None:
    """Start QEMU for `spec`. With `incoming` it waits for the saved state instead of booting.

    Raises HypervisorError; nothing keeps running then.
    """
    if not incoming:
        # Afresh, so that device names follow the letters; saved memory needs every device where it was.
        server.record.ports = {}
    prepare(host, server, spec)
    taps: list[int] = []
    try:
        taps.extend(open_tap(nic) for nic in spec.nics)
        command = build_command(host.config, host.facts, server.files, spec, _parts(host, server, spec, taps, incoming))
        # Known before the process exists: if we die in between, the scan of /proc finds it.
        server.record.booted = spec
        server.record.host_boot = host.boot
        server.store()
        server.files.monitor.unlink(missing_ok=True)
        server.guest = host.children.spawn(
            command,
            directory=server.files.directory,
            log=server.files.qemu_log,
            fds=taps,
            run_as=host.config.run_as,
        )
    finally:
        for tap in taps:
            os.close(tap)
    _wait_ready(host, server)
    if host.config.console_group is not None:
        _open_consoles(server, host.config.console_group)
    record = server.record
    record.pid, record.pid_start = server.guest.pid, server.guest.start
    record.started_at = clock.now()
    record.ended = record.ended_reason = None
    server.store()


def prepare(host: Host, server: Server, spec: ServerSpec) -> None:
    """Every file that the guest needs, and a port for every device. The guest must not run."""
    record, files = server.record, server.files
    files.run.mkdir(mode=0o750, exist_ok=True)
    disks.drop_unused(files, record, spec.disks)
    for disk in spec.disks:
        disks.ensure_disk(host.cache, files, record, disk)
    record.ports = plan_ports(record.ports, spec.disks, spec.nics)
    if spec.config_drive is not None:
        wanted = content_hash(spec.config_drive)
        if record.config_drive_hash != wanted or not files.config_drive.exists():
            build_config_drive(spec.config_drive, files.config_drive, host.facts.iso_tool)
            record.config_drive_hash = wanted
    if spec.firmware == "uefi" and host.facts.uefi is not None and not files.uefi_variables.exists():
        temporary = files.uefi_variables.with_suffix(".part")
        shutil.copyfile(host.facts.uefi.variables, temporary)
        temporary.replace(files.uefi_variables)
    server.sizes_bytes = {}
    if host.config.run_as is not None:
        give_to_guest(server, *host.config.run_as)


def give_to_guest(server: Server, uid: int, gid: int) -> None:
    """Let an unprivileged QEMU open its files, and write in its `run` directory only."""
    server.files.directory.chmod(0o711)
    server.files.console_log.touch(0o600)
    for entry in server.files.directory.iterdir():
        if entry.suffix not in {".json", ".tmp"}:
            os.chown(entry, uid, gid, follow_symlinks=False)


def _open_consoles(server: Server, group: int) -> None:
    """Let the console proxy, which has no privileges, connect."""
    server.files.directory.chmod(0o711)
    os.chown(server.files.run, -1, group)
    server.files.run.chmod(0o750)
    for path in (server.files.vnc, server.files.serial):
        os.chown(path, -1, group, follow_symlinks=False)
        # Only a socket that QEMU has bound is opened up, never what a link points to.
        if path.is_socket() and not path.is_symlink():
            path.chmod(0o660)


def _parts(host: Host, server: Server, spec: ServerSpec, taps: list[int], incoming: bool) -> Parts:
    record = server.record
    nodes: list[Properties] = []
    devices: list[Properties] = []
    netdevs: list[Properties] = []
    for disk in spec.disks:
        nodes.append(disks.disk_node(host.cache, server.files, record, disk))
        devices.append(disk_device(disk, record.ports.get(disk_id(disk.serial))))
    for nic, tap in zip(spec.nics, taps, strict=True):
        netdevs.append(nic_netdev(nic, str(tap)))
        devices.append(nic_device(nic, record.ports[nic_id(nic.port_id)]))
    if spec.config_drive is not None:
        file = {"driver": "file", "filename": os.fspath(server.files.config_drive), "read-only": True}
        nodes.append({"driver": "raw", "node-name": "config-drive", "read-only": True, "file": file})
        devices.append({"driver": "scsi-cd", "id": "config-drive0", "bus": "scsi.0", "drive": "config-drive"})
    return Parts(nodes=nodes, devices=devices, netdevs=netdevs, incoming=incoming)


def _wait_ready(host: Host, server: Server) -> None:
    """Until QEMU answers. Raises HypervisorError with QEMU's own words if it ended instead."""
    guest = server.guest
    assert guest is not None
    deadline = clock.monotonic() + _READY_TIMEOUT_S
    # Whoever only looks at the server meanwhile must not take the one connection that QEMU serves.
    with server.connecting:
        while guest.is_alive() and clock.monotonic() < deadline:
            try:
                if server.files.monitor.exists():
                    connect_monitor(host, server, _READY_TIMEOUT_S)
                    return
            except MonitorLostError:
                pass  # bound but not listening yet, or it just died
            time.sleep(0.003)
    ended = not guest.is_alive()
    end_process(host, server)
    told = last_words(server)
    if ended:
        raise HypervisorError(f"QEMU did not start: {told}")
    raise HypervisorError(f"QEMU did not answer within {_READY_TIMEOUT_S:.0f} s of its start. {told}")


def last_words(server: Server) -> str:
    """The last line QEMU wrote, without its own name in front."""
    try:
        lines = server.files.qemu_log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].split(": ", 1)[-1][:400] if lines else "it said nothing."
