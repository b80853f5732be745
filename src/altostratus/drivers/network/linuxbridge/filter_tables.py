# SPDX-License-Identifier: Apache-2.0
"""The nftables tables of the hypervisor namespace: all filters of all ports.

Replies are recognised by connection tracking in one of two ways. `native`: the kernel tracks in the
bridge family. `mark`: br_netfilter lends the frames to the inet hooks, where tracking marks replies
for the bridge table, which looks at them next. Each bridge is a zone of its own, so networks with the
same addresses never mix.
"""

import ipaddress
import zlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from altostratus.contracts.network import NetworkWorld, PortSpec, SecurityGroupSpec
from altostratus.drivers.network.linuxbridge import filters
from altostratus.drivers.network.linuxbridge.filters import PortFilter
from altostratus.drivers.network.linuxbridge.model import HOST, ChainPlan, Owner, SetPlan, TablePlan
from altostratus.drivers.network.linuxbridge.rules import compile_rule, member_set

Conntrack = Literal["native", "mark"]
TABLE = "alto"
TRACK_TABLE = "alto_track"
_MARK = "0x1"

_REPLY_RULES: dict[Conntrack, tuple[str, ...]] = {
    "native": ("ct state established,related accept", "ct state invalid drop"),
    "mark": (f"meta mark and {_MARK} == {_MARK} accept",),
}


class Filters(NamedTuple):
    """The tables, and a sentence for every port or group that could not be expressed in full."""

    tables: tuple[TablePlan, ...]
    errors: dict[Owner, str]


class _Group(NamedTuple):
    """A compiled group; valid while the spec and the remote groups with prefixes stay the same."""

    spec: SecurityGroupSpec
    groups_with_prefixes: frozenset[str]
    chains: dict[str, ChainPlan]
    remotes: frozenset[str]
    error: str | None


def plan_zones(bridges: Iterable[str]) -> dict[str, int]:
    """A conntrack zone per bridge, the same one whichever other bridges exist (but for rare clashes)."""
    zones: dict[str, int] = {}
    taken: set[int] = set()
    for bridge in sorted(bridges):
        zone = zlib.crc32(bridge.encode()) % 65535 + 1
        while zone in taken:
            zone = zone % 65535 + 1
        taken.add(zone)
        zones[bridge] = zone
    return zones


class FilterPlanner:
    """Plans the tables; remembers what unchanged ports and groups came to. Pure but for that memory."""

    def __init__(self, conntrack: Conntrack) -> None:
        self._conntrack = conntrack
        self._ports: dict[str, tuple[PortSpec, str, PortFilter]] = {}
        self._groups: dict[str, _Group] = {}

    def plan(self, world: NetworkWorld, ports: Iterable[PortSpec], bridges: Iterable[str]) -> Filters:
        """Tables for `ports` (those with a tap on this host). `world` gives groups and their members."""
        errors: dict[Owner, str] = {}
        elements: dict[str, dict[str, Owner]] = {name: {} for name in (*filters.SET_TYPES, *filters.MAPS)}
        combinations: dict[str, PortSpec] = {}
        for port in ports:
            owner = ("port", port.id)
            chain = filters.group_chain_name(port, world.security_groups)
            try:
                planned = self._port_filter(port, chain)
            except ValueError as error:
                errors[owner] = f"The filters of this port cannot be made: {error}."
                continue
            for name, element in planned.elements:
                elements[name][element] = owner
            if port.port_security and not port.quarantined:
                combinations[chain] = port
                missing = [group for group in port.security_groups if group not in world.security_groups]
                if missing:
                    errors[owner] = f"Security group {missing[0]} is not known on this host yet."
        members, prefixes = _members(world)
        chains, remotes = self._group_chains(world, combinations, frozenset(prefixes), errors)
        for chain, port in combinations.items():
            chains.update(self._combination(chain, port, world.security_groups))
        sets = {name: SetPlan(typed=typed, elements=elements[name]) for name, typed in filters.SET_TYPES.items()}
        for name in filters.MAPS:
            sets[name] = SetPlan(kind="map", typed="type ifname : verdict;", elements=elements[name])
        for group in remotes:
            sets.update(_member_sets(group, members.get(group, []), prefixes.get(group)))
        return Filters(self._tables(sets, chains, plan_zones(bridges)), errors)

    def forget(self, port_ids: AbstractSet[str], group_ids: AbstractSet[str]) -> None:
        """Keep the memory of these rows only."""
        self._ports = {i: known for i, known in self._ports.items() if i in port_ids}
        self._groups = {i: known for i, known in self._groups.items() if i in group_ids}

    def _port_filter(self, port: PortSpec, chain: str) -> PortFilter:
        known = self._ports.get(port.id)
        if known is not None and known[0] is port and known[1] == chain:
            return known[2]
        planned = filters.plan_port_filter(port, chain)
        self._ports[port.id] = (port, chain, planned)
        return planned

    def _group_chains(
        self,
        world: NetworkWorld,
        combinations: Mapping[str, PortSpec],
        with_prefixes: frozenset[str],
        errors: dict[Owner, str],
    ) -> tuple[dict[str, ChainPlan], set[str]]:
        chains = dict(filters.STATIC_CHAINS)
        remotes: set[str] = set()
        used = {group for port in combinations.values() for group in port.security_groups}
        for group_id in sorted(used & world.security_groups.keys()):
            spec = world.security_groups[group_id]
            group = self._groups.get(group_id)
            if group is None or group.spec is not spec or group.groups_with_prefixes != with_prefixes:
                group = _compile_group(spec, with_prefixes)
                self._groups[group_id] = group
            chains.update(group.chains)
            remotes |= group.remotes
            if group.error:
                errors["security_group", group_id] = group.error
        return chains, remotes

    def _combination(self, chain: str, port: PortSpec, groups: Mapping[str, SecurityGroupSpec]) -> dict[str, ChainPlan]:
        """Chains shared by all ports that have the same groups."""
        replies = _REPLY_RULES[self._conntrack] if chain.startswith("pg-") else ()
        known = [group for group in sorted(port.security_groups) if group in groups]
        return {
            f"{chain}-{way}": ChainPlan(
                rules=(*replies, f"jump base_{way}", *(f"jump sg-{group}-{way}" for group in known), "drop")
            )
            for way in ("in", "out")
        }

    def _tables(
        self, sets: dict[str, SetPlan], chains: dict[str, ChainPlan], zones: Mapping[str, int]
    ) -> tuple[TablePlan, ...]:
        elements: dict[str, Owner] = {f'"{bridge}" : {zone}': HOST for bridge, zone in zones.items()}
        device = "meta ibrname" if self._conntrack == "native" else "iifname"
        zone_map = SetPlan(kind="map", typed=f"typeof {device} : ct zone;", elements=elements)
        zoning = ChainPlan(
            hook="type filter hook prerouting priority -300; policy accept;",
            rules=(f"ct zone set {device} map @zones",),
        )
        if self._conntrack == "native":
            both = TablePlan(
                family="bridge", name=TABLE, sets={**sets, "zones": zone_map}, chains={**chains, "zoning": zoning}
            )
            return (both,)
        tracking = ChainPlan(
            hook="type filter hook forward priority 0; policy accept;",
            rules=(f"ct state established,related meta mark set meta mark or {_MARK}",),
        )
        return (
            TablePlan(family="bridge", name=TABLE, sets=sets, chains=chains),
            TablePlan(
                family="inet",
                name=TRACK_TABLE,
                sets={"zones": zone_map},
                chains={"zoning": zoning, "tracking": tracking},
            ),
        )


def _compile_group(spec: SecurityGroupSpec, with_prefixes: frozenset[str]) -> _Group:
    rules: dict[str, list[str]] = {"in": [], "out": []}
    remotes = set()
    problems = []
    for rule in spec.rules:
        try:
            compiled = compile_rule(rule, with_prefixes)
        except ValueError as error:
            # a rule only ever allows, so leaving it out is the safe side
            problems.append(f"rule {rule.id}: {error}")
            continue
        rules["in" if rule.direction == "ingress" else "out"] += compiled
        if rule.remote_group_id is not None:
            remotes.add(rule.remote_group_id)
    owner: Owner = ("security_group", spec.id)
    chains = {f"sg-{spec.id}-{way}": ChainPlan(rules=tuple(dict.fromkeys(rules[way])), owner=owner) for way in rules}
    sentence = f"Some rules are not in force: {'; '.join(problems)}." if problems else None
    return _Group(spec, with_prefixes, chains, frozenset(remotes), sentence)


def _members(world: NetworkWorld) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Addresses, and separately true prefixes, of all members of all groups."""
    members: dict[str, list[str]] = {}
    prefixes: dict[str, list[str]] = {}
    for port in world.ports.values():
        if not port.security_groups or not port.port_security:
            continue
        addresses = [fixed.ip_address for fixed in port.fixed_ips]
        for pair in port.allowed_address_pairs:
            if "/" in pair.ip_address:
                for group in port.security_groups:
                    prefixes.setdefault(group, []).append(pair.ip_address)
            else:
                addresses.append(pair.ip_address)
        for group in port.security_groups:
            members.setdefault(group, []).extend(addresses)
    for group_id, spec in world.security_groups.items():
        for text in spec.remote_members:
            (prefixes if "/" in text else members).setdefault(group_id, []).append(text)
    return members, prefixes


def _member_sets(group_id: str, addresses: list[str], prefixes: list[str] | None) -> dict[str, SetPlan]:
    owner: Owner = ("security_group", group_id)
    found: dict[str, SetPlan] = {}
    versions: tuple[Literal[4, 6], ...] = (4, 6)
    for version in versions:
        mine = {address: owner for address in addresses if (":" in address) == (version == 6)}
        name = member_set(group_id, version, prefixes=False)
        found[name] = SetPlan(typed=f"type ipv{version}_addr;", elements=mine)
        if prefixes is None:
            continue
        found[member_set(group_id, version, prefixes=True)] = SetPlan(
            typed=f"type ipv{version}_addr; flags interval;",
            elements=dict.fromkeys(_collapsed(prefixes, version), owner),
        )
    return found


def _collapsed(prefixes: list[str], version: Literal[4, 6]) -> list[str]:
    """The prefixes of one IP version without overlaps, which interval sets refuse."""
    networks = [ipaddress.ip_network(text, strict=False) for text in prefixes]
    if version == 4:
        return [str(n) for n in ipaddress.collapse_addresses(n for n in networks if n.version == 4)]
    return [str(n) for n in ipaddress.collapse_addresses(n for n in networks if n.version == 6)]
