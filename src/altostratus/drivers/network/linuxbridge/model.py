# SPDX-License-Identifier: Apache-2.0
"""The values between planning and doing: what should be on this host, as data.

The same types describe what was observed, so that the difference of two of them is the work to do.
An owner is the (kind, id) of the wanted row that a failure is reported to.
"""

from typing import Literal

import msgspec

Owner = tuple[str, str]
LinkKey = tuple[str, str]

HOST: Owner = ("host", "network")
NO_ADDRESSES: frozenset[str] = frozenset()

# `end` is the second half of a veth: made and removed together with the first.
LinkKind = Literal["bridge", "tap", "veth", "end", "vxlan", "vlan", "ifb", "card", "loopback", "foreign"]


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A network namespace. `sysctls` are (path below /proc/sys/net, value)."""

    name: str
    owner: Owner = HOST
    sysctls: tuple[tuple[str, str], ...] = ()


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A device. Only what is not None is compared and set; `addresses` are "10.0.0.1/24".

    A `foreign` device was made by others, a `card` is a real one. `peer` is the (namespace, name) of the
    other half of a veth. `vni` and `remotes` belong to vxlan, `vlan` and `parent` to vlan.
    """

    netns: str
    name: str
    kind: LinkKind
    owner: Owner = HOST
    mtu: int | None = None
    mac: str | None = None
    master: str | None = None
    up: bool = True
    addresses: frozenset[str] = NO_ADDRESSES
    peer: LinkKey | None = None
    vni: int | None = None
    remotes: frozenset[str] = NO_ADDRESSES
    vlan: int | None = None
    parent: str | None = None
    alias: str | None = None

    @property
    def key(self) -> LinkKey:
        return (self.netns, self.name)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a namespace. `destination` is "default4", "default6" or a CIDR."""

    netns: str
    destination: str
    via: str
    device: str | None = None
    owner: Owner = HOST

    @property
    def version(self) -> Literal[4, 6]:
        return 6 if ":" in self.via else 4


class SetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An nftables set or map: `typed` is its type line, `elements` map text to the owner of each."""

    kind: Literal["set", "map"] = "set"
    typed: str
    elements: dict[str, Owner]


class ChainPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An nftables chain. `hook` is the type line of a base chain."""

    rules: tuple[str, ...]
    owner: Owner = HOST
    hook: str | None = None


class TablePlan(msgspec.Struct, frozen=True, kw_only=True):
    """An nftables table, changed piece by piece."""

    family: Literal["bridge", "inet", "ip"]
    name: str
    sets: dict[str, SetPlan]
    chains: dict[str, ChainPlan]


class Shaper(msgspec.Struct, frozen=True, kw_only=True):
    """Bandwidth limits of a tap, in kilobits per second, as the guest sees the directions."""

    tap: str
    kbps_in: int | None
    kbps_out: int | None
    owner: Owner


class DnsmasqPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A dnsmasq process. `conf` changes need a restart, `files` only a signal.

    `leases` maps the addresses that may be leased to their MAC: anything else in the lease file is
    the past of a deleted port and would keep the address from its next owner.
    """

    key: str
    netns: str
    owner: Owner
    conf: str
    files: dict[str, str]
    leases: dict[str, str] = {}


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """Where metadata is answered: in which namespace and for which network or router."""

    netns: str
    owner: Owner


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """An IPv4 address to announce by gratuitous ARP when it is new."""

    netns: str
    device: str
    mac: str
    address: str


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """What one wanted row contributes. Fragments are cached by the identity of their spec."""

    namespaces: tuple[Namespace, ...] = ()
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: tuple[tuple[str, TablePlan], ...] = ()
    shapers: tuple[Shaper, ...] = ()
    processes: tuple[DnsmasqPlan, ...] = ()
    listeners: tuple[Listener, ...] = ()
    announcements: tuple[Announcement, ...] = ()


class HostPlan(msgspec.Struct, kw_only=True):
    """Everything of this cloud on this host. `tables` are keyed by (namespace, family, name)."""

    namespaces: dict[str, Namespace] = {}
    links: dict[LinkKey, Link] = {}
    routes: dict[tuple[str, str], Route] = {}
    tables: dict[tuple[str, str, str], TablePlan] = {}
    shapers: dict[str, Shaper] = {}
    processes: dict[str, DnsmasqPlan] = {}
    listeners: dict[str, Listener] = {}
    announcements: frozenset[Announcement] = frozenset()
    # names without a namespace behind them, to be cleared away
    broken: list[str] = []
    errors: dict[Owner, str] = {}

    def add(self, fragment: Fragment) -> None:
        """Take in what one row contributes."""
        for namespace in fragment.namespaces:
            self.namespaces[namespace.name] = namespace
        for link in fragment.links:
            self.links[link.key] = link
        for route in fragment.routes:
            self.routes[route.netns, route.destination] = route
        for netns, table in fragment.tables:
            self.tables[netns, table.family, table.name] = table
        for shaper in fragment.shapers:
            self.shapers[shaper.tap] = shaper
        for process in fragment.processes:
            self.processes[process.key] = process
        for listener in fragment.listeners:
            self.listeners[listener.netns] = listener
        if fragment.announcements:
            self.announcements |= frozenset(fragment.announcements)
