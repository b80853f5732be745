# SPDX-License-Identifier: Apache-2.0
"""The difference between what is and what should be, as lines for `ip` and `bridge`. Pure.

Devices are made and removed from the hypervisor's side: the other half of a cable comes and goes with
it. Order of creation follows who needs whom (a bridge before its members).
"""

from collections.abc import Iterable, Mapping

import msgspec

from altostratus.drivers.network.linuxbridge.execute import Command
from altostratus.drivers.network.linuxbridge.model import HostPlan, Link, LinkKey, Route

_ORDER = {"loopback": 0, "bridge": 1, "card": 2, "veth": 3, "tap": 4, "vxlan": 5, "ifb": 6, "vlan": 7, "end": 8}
_DOOMED_GROUP = 7777
_OUR_NAMES = ("tap", "ifb", "vr-", "vd-", "wh-", "br", "vl", "vxl")
_DEFAULTS = {"default4": "0.0.0.0/0", "default6": "::/0"}
NOBODY = "00:00:00:00:00:00"


class Changes(msgspec.Struct, kw_only=True):
    """Batches in the order in which they must run; None as a namespace is the agent's own."""

    doomed_namespaces: list[str] = []
    new_namespaces: list[str] = []
    removals: dict[str, list[Command]] = {}
    home: list[Command] = []
    creations: dict[str, list[Command]] = {}
    floods: dict[str, list[Command]] = {}

    def is_empty(self) -> bool:
        return not (self.doomed_namespaces or self.new_namespaces or self.removals or self.home or self.creations)


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What making devices needs to know of the host."""

    tunnel_ip: str | None
    vxlan_port: int
    home_pid: int


def plan_changes(observed: HostPlan, wanted: HostPlan, settings: LinkSettings) -> Changes:
    """Namespaces, devices, addresses and routes. Filters and processes are compared elsewhere."""
    changes = Changes(
        doomed_namespaces=[*sorted(observed.namespaces.keys() - wanted.namespaces.keys()), *observed.broken],
        new_namespaces=[name for name in wanted.namespaces if name not in observed.namespaces],
    )
    doomed = set(changes.doomed_namespaces)
    replaced = _replaced(observed.links, wanted.links)
    readdressed = set(changes.new_namespaces)
    for key, link in observed.links.items():
        if key in wanted.links and key not in replaced:
            continue
        readdressed.add(link.netns)
        if link.kind == "card" or (not _stays(link, key in replaced) and link.netns not in doomed):
            changes.removals.setdefault(link.netns, []).append(_removal(link, settings))
    fresh: list[Link] = []
    for key, link in wanted.links.items():
        before = observed.links.get(key)
        if before is None or key in replaced:
            fresh.append(link)
        elif before is not link and before != link:
            lines = _settings(before, link)
            if lines:
                changes.creations.setdefault(link.netns, []).extend(lines)
                readdressed.add(link.netns)
            _flood(changes, before, link)
    for link in sorted(fresh, key=lambda one: _ORDER[one.kind]):
        _create(changes, link, settings)
        if link.addresses or link.kind == "end":
            readdressed.add(link.netns)
    changes.removals = {netns: _together(lines) for netns, lines in changes.removals.items()}
    _route_changes(changes, observed.routes, wanted.routes, readdressed - doomed)
    return changes


def _replaced(observed: Mapping[LinkKey, Link], wanted: Mapping[LinkKey, Link]) -> set[LinkKey]:
    """Devices that exist but must be made anew, with both halves of a cable."""
    replaced: set[LinkKey] = set()
    for key, link in wanted.items():
        before = observed.get(key)
        if link.kind == "loopback" or (before is link and (link.peer is None or link.peer in observed)):
            continue
        if link.kind == "veth" and link.peer is not None:
            halves = (before is not None, link.peer in observed)
            changed = before is not None and (before.kind != "veth" or before.peer not in (None, link.peer))
            if changed or halves in ((True, False), (False, True)):
                replaced |= {key, link.peer}
        elif link.kind != "end" and before is not None and _identity(before) != _identity(link):
            replaced.add(key)
    return replaced


def _stays(link: Link, replaced: bool) -> bool:
    """A loopback belongs to its namespace, the second half of a cable to the first; what others made
    is only in the way when it bears one of our names."""
    if link.kind == "foreign":
        return not replaced and not link.name.startswith(_OUR_NAMES)
    return link.kind in ("loopback", "end")


def _identity(link: Link) -> tuple[object, ...]:
    return (link.kind, link.vni, link.vlan, link.parent)


def _together(removals: list[Command]) -> list[Command]:
    """The kernel waits a moment after each deletion; of a whole group it deletes all at once."""
    names = [line.text.removeprefix("link del ") for line in removals if line.text.startswith("link del ")]
    if len(names) < 3:
        return removals
    others = [line for line in removals if not line.text.startswith("link del ")]
    marks = [Command(f"link set {name} group {_DOOMED_GROUP}", tolerant=True) for name in names]
    return [*others, *marks, Command(f"link del group {_DOOMED_GROUP}", tolerant=True)]


def _removal(link: Link, settings: LinkSettings) -> Command:
    if link.kind == "card":
        return Command(f"link set {link.name} nomaster netns {settings.home_pid}", link.owner)
    # the kernel may be quicker: what is in a namespace that goes away goes with it
    return Command(f"link del {link.name}", link.owner, tolerant=True)


def _create(changes: Changes, link: Link, settings: LinkSettings) -> None:
    lines = changes.creations.setdefault(link.netns, [])
    if link.kind == "bridge":
        lines.append(
            Command(f"link add {link.name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", link.owner)
        )
    elif link.kind == "tap":
        lines.append(Command(f"tuntap add dev {link.name} mode tap vnet_hdr", link.owner))
    elif link.kind == "veth" and link.peer is not None:
        netns, name = link.peer
        lines.append(Command(f"link add {link.name} type veth peer name {name} netns {netns}", link.owner))
    elif link.kind == "ifb":
        lines.append(Command(f"link add {link.name} type ifb", link.owner))
    elif link.kind == "vlan":
        lines.append(Command(f"link add link {link.parent} name {link.name} type vlan id {link.vlan}", link.owner))
    elif link.kind == "vxlan":
        # made at home and born in the hypervisor namespace: its packets then travel by our own routes
        made = f"link add {link.name} netns {link.netns} type vxlan id {link.vni} local {settings.tunnel_ip}"
        changes.home.append(Command(f"{made} dstport {settings.vxlan_port}", link.owner))
    elif link.kind == "card":
        changes.home.append(Command(f"link set {link.name} netns {link.netns}", link.owner))
    blank = Link(netns=link.netns, name=link.name, kind=link.kind, up=False)
    lines += _settings(blank, link)
    _flood(changes, blank, link)


def _settings(before: Link, link: Link) -> list[Command]:
    """Lines that give a device its master, MTU, MAC, state and addresses."""
    words = []
    if link.mac is not None and link.mac != before.mac:
        words.append(f"address {link.mac}")
    if link.mtu is not None and link.mtu != before.mtu:
        words.append(f"mtu {link.mtu}")
    if link.master is not None and link.master != before.master:
        words.append(f"master {link.master}")
    if link.alias is not None and link.alias != before.alias:
        words.append(f"alias {link.alias}")
    if link.up != before.up:
        words.append("up" if link.up else "down")
    lines = [Command(f"link set {link.name} {' '.join(words)}", link.owner)] if words else []
    lines += [
        Command(f"addr del {address} dev {link.name}", link.owner, tolerant=True)
        for address in sorted(before.addresses - link.addresses)
    ]
    lines += [
        Command(f"addr add {address} dev {link.name}{' nodad' if ':' in address else ''}", link.owner)
        for address in sorted(link.addresses - before.addresses)
    ]
    return lines


def _flood(changes: Changes, before: Link, link: Link) -> None:
    """Where a tunnel sends what it does not know the place of: to every other host."""
    lines = [
        Command(f"fdb del {NOBODY} dev {link.name} dst {remote}", link.owner, tolerant=True)
        for remote in sorted(before.remotes - link.remotes)
    ]
    lines += [
        Command(f"fdb append {NOBODY} dev {link.name} dst {remote}", link.owner)
        for remote in sorted(link.remotes - before.remotes)
    ]
    if lines:
        changes.floods.setdefault(link.netns, []).extend(lines)


def _route_changes(
    changes: Changes,
    observed: Mapping[tuple[str, str], Route],
    wanted: Mapping[tuple[str, str], Route],
    readdressed: Iterable[str],
) -> None:
    again = set(readdressed)
    doomed = set(changes.doomed_namespaces)
    for key, route in observed.items():
        if key not in wanted and route.netns not in doomed:
            text = f"route del {_DEFAULTS.get(route.destination, route.destination)}"
            changes.creations.setdefault(route.netns, []).append(Command(text, route.owner, tolerant=True))
    for key, route in wanted.items():
        # the kernel forgets routes when an address they lean on goes, even for a moment
        if route.netns in again or observed.get(key) != route:
            changes.creations.setdefault(route.netns, []).append(Command(_route_text(route), route.owner))


def _route_text(route: Route) -> str:
    text = f"route replace {_DEFAULTS.get(route.destination, route.destination)} via {route.via}"
    return f"{text} dev {route.device} onlink" if route.device else text
