# SPDX-License-Identifier: Apache-2.0
"""Which connections must be forgotten when filters or translations become narrower. Pure.

Connection tracking lets replies and what goes on pass. So when a floating IP is taken away, a rule is
deleted or a port is removed, the memory of connections that it allowed has to go as well.
"""

from collections.abc import Iterable

from altostratus.drivers.network.linuxbridge.filter_tables import TABLE, TRACK_TABLE
from altostratus.drivers.network.linuxbridge.model import HostPlan, TablePlan
from altostratus.drivers.network.linuxbridge.routers import NAT_TABLE

Forgetting = dict[str, dict[str, int | None]]


def plan_forgetting(observed: HostPlan, wanted: HostPlan, hypervisor: str) -> Forgetting:
    """By namespace: addresses of which all connections go, with their conntrack zone (None: any)."""
    found: Forgetting = {}
    for key, before in observed.tables.items():
        after = wanted.tables.get(key)
        if key[2] == NAT_TABLE and after is not None and before is not after:
            gone = _lost_floating_ips(before, after)
            if gone:
                found[key[0]] = dict.fromkeys(gone)
    filters = (hypervisor, "bridge", TABLE)
    if filters in observed.tables and filters in wanted.tables:
        taps = _narrowed_taps(observed.tables[filters], wanted.tables[filters])
        if taps:
            found[hypervisor] = _addresses_of(taps, observed.tables[filters], observed, hypervisor)
    return found


def _lost_floating_ips(before: TablePlan, after: TablePlan) -> set[str]:
    gone: set[str] = set()
    for name in ("to_fixed", "forward_tcp", "forward_udp"):
        for element in before.sets[name].elements.keys() - after.sets[name].elements.keys():
            gone.add(element.split()[0])
    return gone


def _narrowed_taps(before: TablePlan, after: TablePlan) -> set[str]:
    """Taps that are gone, were given other groups, or whose groups allow less than before."""
    lost = _narrowed_chains(before, after)
    taps: set[str] = set()
    for name in ("guest_from", "guest_out", "guest_in"):
        old, new = before.sets[name].elements, after.sets[name].elements
        if old is new:
            continue
        changed = old.keys() - new.keys()
        if lost:
            changed |= {element for element in old if element.rsplit(" ", 1)[1] in lost}
        taps |= {element.split('"')[1] for element in changed}
    return taps


def _narrowed_chains(before: TablePlan, after: TablePlan) -> set[str]:
    shrunk = {
        f"@{name}"
        for name, planned in before.sets.items()
        if name.startswith(("m4", "m6")) and planned.elements.keys() - _elements(after, name)
    }
    lost = {
        name
        for name, chain in before.chains.items()
        if name.startswith("sg-")
        and (
            (name in after.chains and set(chain.rules) - set(after.chains[name].rules))
            or (shrunk and _mentions(chain.rules, shrunk))
        )
    }
    if not lost:
        return set()
    jumps = {f"jump {name}" for name in lost}
    return {name for name, chain in before.chains.items() if name.startswith("p") and jumps & set(chain.rules)}


def _elements(table: TablePlan, name: str) -> Iterable[str]:
    return table.sets[name].elements.keys() if name in table.sets else ()


def _mentions(rules: Iterable[str], sets: set[str]) -> bool:
    return any(word in sets for rule in rules for word in rule.split())


def _addresses_of(taps: set[str], table: TablePlan, plan: HostPlan, hypervisor: str) -> dict[str, int | None]:
    holder = plan.tables.get((hypervisor, "inet", TRACK_TABLE), table)
    zones = {text.split('"')[1]: int(text.rsplit(" ", 1)[1]) for text in holder.sets["zones"].elements}
    found: dict[str, int | None] = {}
    for name in ("src4", "src6"):
        for element in table.sets[name].elements:
            tap, _, address = element.split(" . ")
            tap = tap.strip('"')
            if tap not in taps or address.startswith("fe80:"):
                continue
            link = plan.links.get((hypervisor, tap))
            found[address] = zones.get(link.master or "") if link is not None else None
    return found
