# SPDX-License-Identifier: Apache-2.0
"""Add and remove devices of a running guest. Every function may be repeated after any failure."""

import os
from typing import Any

import msgspec

from altostratus.contracts.hypervisor import DiskSpec, HypervisorError, NicSpec

from . import disks
from .devices import disk_device, disk_id, netdev_id, nic_device, nic_id, nic_netdev, node_name, plan_ports, uses_port
from .disks import wanted_bytes
from .qmp import Monitor, MonitorError
from .server import Host, Server, get_monitor
from .taps import open_tap


def attached_devices(monitor: Monitor) -> set[str]:
    """Ids of the devices that the guest has."""
    return {str(entry["name"]) for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"})}


def node_sizes(monitor: Monitor) -> dict[str, int]:
    """Virtual size in bytes of every named block node."""
    nodes: list[dict[str, Any]] = monitor.execute("query-named-block-nodes", {"flat": True})
    return {str(node["node-name"]): int(node["image"]["virtual-size"]) for node in nodes}


def attach_disk(host: Host, server: Server, disk: DiskSpec) -> None:
    if disk.bus in {"sata", "ide"} and disk.device_type == "disk":
        raise HypervisorError(f"A {disk.bus} disk cannot be added to a running server. Stop it first.", final=True)
    monitor, record = get_monitor(host, server), server.record
    name = node_name(disk.serial)
    if name not in node_sizes(monitor):
        disks.ensure_disk(host.cache, server.files, record, disk)
        _lend(host, disk, server)
        monitor.execute("blockdev-add", disks.disk_node(host.cache, server.files, record, disk))
    if disk_id(disk.serial) not in attached_devices(monitor):
        port = None
        if uses_port(disk):
            record.ports = plan_ports(record.ports, *_present_with(server, disk=disk))
            port = record.ports[disk_id(disk.serial)]
            server.store()
        try:
            # The boot order is fixed once the firmware is through.
            device = {key: value for key, value in disk_device(disk, port).items() if key != "bootindex"}
            monitor.execute("device_add", device)
        except MonitorError:
            monitor.execute("blockdev-del", {"node-name": name})
            raise
    _remember(server, add_disk=disk)


def _lend(host: Host, disk: DiskSpec, server: Server) -> None:
    if host.config.run_as is not None and disk.source != "volume":
        known = server.record.local_disks[disk.serial]
        if known.file:
            os.chown(server.files.directory / known.file, *host.config.run_as)


def detach_disk(host: Host, server: Server, serial: str) -> None:
    monitor = get_monitor(host, server)
    _unplug(host, server, monitor, disk_id(serial), f"disk {serial}")
    if node_name(serial) in node_sizes(monitor):
        monitor.execute("blockdev-del", {"node-name": node_name(serial)})
    server.record.ports.pop(disk_id(serial), None)
    _remember(server, drop=serial)


def resize_disk(host: Host, server: Server, disk: DiskSpec) -> None:
    """Grow a disk under the running guest, who is told."""
    get_monitor(host, server).execute("block_resize", {"node-name": node_name(disk.serial), "size": wanted_bytes(disk)})


def attach_nic(host: Host, server: Server, nic: NicSpec) -> None:
    monitor, record = get_monitor(host, server), server.record
    if nic_id(nic.port_id) not in attached_devices(monitor):
        # A netdev may be left from a try that got no further.
        _drop_netdev(monitor, nic.port_id)
        record.ports = plan_ports(record.ports, *_present_with(server, nic=nic))
        server.store()
        tap = open_tap(nic)
        try:
            name = netdev_id(nic.port_id)
            monitor.execute("getfd", {"fdname": name}, fd=tap)
            monitor.execute("netdev_add", nic_netdev(nic, name))
        finally:
            os.close(tap)
        try:
            monitor.execute("device_add", nic_device(nic, record.ports[nic_id(nic.port_id)]))
        except MonitorError:
            _drop_netdev(monitor, nic.port_id)
            raise
    _remember(server, add_nic=nic)


def detach_nic(host: Host, server: Server, port_id: str) -> None:
    monitor = get_monitor(host, server)
    _unplug(host, server, monitor, nic_id(port_id), f"network card {port_id}")
    _drop_netdev(monitor, port_id)
    server.record.ports.pop(nic_id(port_id), None)
    _remember(server, drop=port_id)


def _drop_netdev(monitor: Monitor, port_id: str) -> None:
    try:
        monitor.execute("netdev_del", {"id": netdev_id(port_id)})
    except MonitorError as error:
        if error.error_class != "DeviceNotFound" and "not found" not in error.description:
            raise


def _unplug(host: Host, server: Server, monitor: Monitor, device: str, what: str) -> None:
    """Ask the guest to let go of a device and wait until it has."""
    if device not in attached_devices(monitor):
        return
    monitor.forget_events()
    try:
        monitor.execute("device_del", {"id": device})
    except MonitorError as error:
        # Asked before and not yet answered is as good.
        if "unplug" not in error.description and error.error_class != "DeviceNotFound":
            raise
    waited_s = 0.0
    while waited_s < host.config.detach_timeout_s and not server.hurry.is_set():
        step_s = 0.05 if waited_s < 0.5 else 0.5
        monitor.find_event(step_s, lambda event: event["event"] == "DEVICE_DELETED")
        waited_s += step_s
        if device not in attached_devices(monitor):
            return
    raise HypervisorError(
        f"The guest of server {server.id} does not let go of {what}; it may still be booting. It is asked again."
    )


def _present_with(
    server: Server, *, disk: DiskSpec | None = None, nic: NicSpec | None = None
) -> tuple[list[DiskSpec], list[NicSpec]]:
    booted = server.record.booted or server.record.spec
    return [*booted.disks, *([disk] if disk else [])], [*booted.nics, *([nic] if nic else [])]


def _remember(
    server: Server, *, add_disk: DiskSpec | None = None, add_nic: NicSpec | None = None, drop: str | None = None
) -> None:
    """Keep `booted` true to what the guest has, for a later restore of saved memory."""
    booted = server.record.booted
    if booted is None:
        return
    left_out = {drop, add_disk.serial if add_disk else None, add_nic.port_id if add_nic else None}
    kept_disks = [disk for disk in booted.disks if disk.serial not in left_out]
    kept_nics = [nic for nic in booted.nics if nic.port_id not in left_out]
    server.record.booted = msgspec.structs.replace(
        booted,
        disks=[*kept_disks, *([add_disk] if add_disk else [])],
        nics=[*kept_nics, *([add_nic] if add_nic else [])],
    )
    server.store()
