# SPDX-License-Identifier: Apache-2.0
"""Reading the machine: which namespaces are ours, and what is in them.

Ours is what carries our marker (the alias of its loopback device) or stands in the ledger: the file
in the state directory where a namespace is written down before it is made.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from altostratus.drivers.network.linuxbridge.changes import NOBODY
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.execute import run_tool
from altostratus.drivers.network.linuxbridge.model import HOST, HostPlan, Link, LinkKind, Namespace, Route, Shaper
from altostratus.drivers.network.linuxbridge.names import TAP_PREFIX
from altostratus.drivers.network.linuxbridge.netns import NETNS_DIRECTORY, is_mount_point, list_netns

_OURS_MAYBE = re.compile(r"(qrouter|qdhcp)-|alto-")
_KINDS: dict[str, LinkKind] = {
    "bridge": "bridge",
    "veth": "veth",
    "vxlan": "vxlan",
    "vlan": "vlan",
    "ifb": "ifb",
}


class Ledger:
    """The namespaces this cloud ever made and did not yet remove, on disk."""

    class _Content(msgspec.Struct):
        namespaces: list[str] = []
        made_mount: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._content = msgspec.json.decode(path.read_bytes(), type=Ledger._Content)
        except (FileNotFoundError, msgspec.DecodeError):
            self._content = Ledger._Content()

    @property
    def namespaces(self) -> frozenset[str]:
        return frozenset(self._content.namespaces)

    @property
    def made_mount(self) -> bool:
        """Whether `/run/netns` became a mount point because of us."""
        return self._content.made_mount

    def write(self, namespaces: frozenset[str]) -> None:
        """Remember, before making any, which namespaces there will be."""
        if namespaces == self.namespaces and self._path.exists():
            return
        if not self._content.namespaces and not self._content.made_mount:
            self._content.made_mount = not is_mount_point(NETNS_DIRECTORY)
        self._content.namespaces = sorted(namespaces)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._content))
        temporary.replace(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._content = Ledger._Content()


def observe_host(config: LinuxBridgeConfig, ledger: Ledger) -> HostPlan:
    """Namespaces, devices, addresses, routes and limits of this cloud as they are. Filters are not
    read: after a look at the machine they are loaded anew, each table in one transaction."""
    found = HostPlan()
    for netns in sorted(list_netns()):
        if not _OURS_MAYBE.match(netns) or netns == config.probe_netns:
            continue
        try:
            devices = _json_of(netns, ["ip", "-j", "-d", "addr", "show"])
        except OSError:
            # the machine was restarted, or we died while making it
            if netns in ledger.namespaces:
                found.broken.append(netns)
            continue
        if netns not in ledger.namespaces and not _is_marked(devices, config.marker):
            continue
        found.namespaces[netns] = Namespace(name=netns)
        for device in devices:
            kind = _kind_of(netns, device, config)
            if kind is not None:
                link = _link_of(netns, kind, device)
                found.links[link.key] = link
        # people may give the world routes of their own
        if netns not in (config.hypervisor_netns, config.world_netns):
            _observe_routes(netns, found)
    if config.hypervisor_netns in found.namespaces:
        _observe_hypervisor(config.hypervisor_netns, found)
    return found


def _json_of(netns: str, argv: list[str]) -> list[dict[str, Any]]:
    """What a tool says. Raises OSError when the namespace cannot be entered."""
    done = run_tool(netns, argv)
    if done.returncode != 0 or not done.stdout.strip():
        return []
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return [entry for entry in answer if entry]


def _is_marked(devices: list[dict[str, Any]], marker: str) -> bool:
    return any(device.get("ifname") == "lo" and device.get("ifalias") == marker for device in devices)


def _kind_of(netns: str, device: Mapping[str, Any], config: LinuxBridgeConfig) -> LinkKind | None:
    info = device.get("linkinfo", {})
    kernel_kind, data = info.get("info_kind"), info.get("info_data", {})
    if device["ifname"] == "lo":
        return "loopback"
    if netns != config.hypervisor_netns:
        return "end" if kernel_kind == "veth" else None
    if kernel_kind is None:
        return "card"
    if kernel_kind == "tun":
        # a device that cannot be opened the way QEMU does is as good as a foreign one
        return "tap" if data.get("type") == "tap" and data.get("vnet_hdr") and data.get("persist") else "foreign"
    return _KINDS.get(kernel_kind, "foreign")


def _link_of(netns: str, kind: LinkKind, device: Mapping[str, Any]) -> Link:
    data = device.get("linkinfo", {}).get("info_data", {})
    return Link(
        netns=netns,
        name=str(device["ifname"]),
        kind=kind,
        mtu=device.get("mtu"),
        mac=device.get("address"),
        master=device.get("master"),
        up="UP" in device.get("flags", ()),
        addresses=_addresses_of(device, kind),
        vni=data.get("id") if kind == "vxlan" else None,
        vlan=data.get("id") if kind == "vlan" else None,
        parent=device.get("link") if kind == "vlan" else None,
        alias=device.get("ifalias"),
    )


def _observe_hypervisor(netns: str, found: HostPlan) -> None:
    """Bandwidth limits (that there are some, not which) and where tunnels lead."""
    for qdisc in _json_of(netns, ["tc", "-j", "qdisc", "show"]):
        tap = str(qdisc.get("dev", ""))
        if qdisc.get("kind") in ("tbf", "ingress") and tap.startswith(TAP_PREFIX):
            found.shapers[tap] = Shaper(tap=tap, kbps_in=None, kbps_out=None, owner=HOST)
    tunnels = {link.name for link in found.links.values() if link.kind == "vxlan"}
    remotes: dict[str, set[str]] = {name: set() for name in tunnels}
    for entry in _json_of(netns, ["bridge", "-j", "fdb", "show"]) if tunnels else []:
        if entry.get("mac") == NOBODY and entry.get("dst") and entry.get("ifname") in remotes:
            remotes[entry["ifname"]].add(entry["dst"])
    for name, addresses in remotes.items():
        known = found.links[netns, name]
        found.links[netns, name] = msgspec.structs.replace(known, remotes=frozenset(addresses))


def _addresses_of(device: Mapping[str, Any], kind: LinkKind) -> frozenset[str]:
    found = set()
    for info in device.get("addr_info", ()):
        interface = ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
        # the kernel's own: link-local ones of every device, and those of the loopback
        if interface.ip.is_loopback or (interface.version == 6 and interface.ip.is_link_local):
            continue
        found.add(str(interface))
    return frozenset(found) if kind in ("end", "loopback") else frozenset()


def _observe_routes(netns: str, found: HostPlan) -> None:
    for family in ("-4", "-6"):
        for route in _json_of(netns, ["ip", "-j", family, "route", "show"]):
            via = route.get("gateway")
            if via is None or route.get("protocol") in ("kernel", "ra"):
                continue
            destination = str(route["dst"])
            if destination == "default":
                destination = "default6" if family == "-6" else "default4"
            elif "/" not in destination:
                destination += "/128" if family == "-6" else "/32"
            device = route.get("dev") if destination.startswith("default") else None
            found.routes[netns, destination] = Route(netns=netns, destination=destination, via=via, device=device)
