# SPDX-License-Identifier: Apache-2.0
"""Choosing a host: placement's candidates, through the filters, by weight; every refusal is remembered."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.kernel.numbers import whole_number
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.logic.scheduling.filters import FILTERS
from altostratus.services.compute.logic.scheduling.request import HostState, Request
from altostratus.services.compute.models.hosts import ServerGroup
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.placement import public as placement

_MIB_PER_GIB: Final = 1024
_SOFT_WEIGHT: Final = 10.0


class Refusal(NamedTuple):
    """Why one host could not take the server."""

    host: str
    by: str
    reason: str


class Choice(NamedTuple):
    """Hosts in the order of their weight, and why the others are not among them."""

    hosts: list[HostState]
    refusals: list[Refusal]

    def explain(self) -> str:
        """The sentence that a server without a host shows."""
        if not self.refusals:
            return "No valid host was found. No compute host has announced itself: is the compute agent running?"
        told = "; ".join(f"{one.host}: {one.by}: {one.reason}" for one in self.refusals)
        return f"No valid host was found. There are not enough hosts available. {told}"


def resources_of(tx: Tx, server: Row[Any], flavor: dict[str, Any] | None = None) -> dict[str, int]:
    """What the server takes of its host, in placement's resource classes."""
    flavor = flavor or server.flavor
    device = table_of(BlockDevice).c
    local_root = tx.scalar(
        select(device.id).where(
            device.server_id == server.id, device.boot_index == 0, device.destination_type == "local"
        )
    )
    swap_gib = -(-int(flavor.get("swap") or 0) // _MIB_PER_GIB)
    disk = (flavor["disk"] if local_root else 0) + int(flavor.get("ephemeral") or 0) + swap_gib
    wanted = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"], "DISK_GB": disk}
    for name, value in (flavor.get("extra_specs") or {}).items():
        units = whole_number(str(value)) if name.startswith("resources:") else None
        if units is not None:
            wanted[name.partition(":")[2]] = units
    return {name: units for name, units in wanted.items() if units > 0}


def _traits_of(flavor: dict[str, Any], word: str) -> set[str]:
    specs = flavor.get("extra_specs") or {}
    return {name.partition(":")[2] for name, value in specs.items() if name.startswith("trait:") and value == word}


def request_of(tx: Tx, server: Row[Any]) -> Request:
    """What the scheduler must know about a server."""
    policy, rules, members = None, {}, ()
    if server.server_group_id:
        group = tx.find(ServerGroup, server.server_group_id)
        if group is not None:
            table = table_of(Server).c
            policy, rules = group.policy, group.rules
            members = tuple(
                tx.scalars(
                    select(table.host).where(
                        table.server_group_id == group.id,
                        table.deleted.is_(False),
                        table.host.is_not(None),
                        table.id != server.id,
                    )
                )
            )
    return Request(
        project_id=server.project_id,
        flavor=server.flavor,
        image_properties=server.image_properties or {},
        zone=server.pinned_zone,
        host=server.requested_host,
        hints=server.scheduler_hints or {},
        group_policy=policy,
        group_rules=rules,
        group_hosts=members,
    )


def choose(tx: Tx, cloud: Cloud, request: Request, resources: dict[str, int]) -> Choice:
    """Hosts that can take the server, best first."""
    options = cloud[ComputeOptions]
    required, forbidden = _traits_of(dict(request.flavor), "required"), _traits_of(dict(request.flavor), "forbidden")
    candidates = placement.list_candidates(tx, resources, required=required, forbidden=forbidden)
    known = {host.id: host for host in hosts.list_hosts(tx, cloud)}
    refusals: list[Refusal] = []
    if len(candidates) < len(known):
        names = {host.name for host in known.values()}
        shortage = placement.explain_shortage(tx, resources, required=required, forbidden=forbidden)
        refusals = [Refusal(name, "placement", reason) for name, reason in shortage if name in names]
    states = [
        HostState(known[one.provider_id], one.capacity, frozenset()) for one in candidates if one.provider_id in known
    ]
    if request.hints.get("same_host") or request.hints.get("different_host"):
        states = _with_servers(tx, states)
    enabled = [one for name in options.enabled_filters for one in FILTERS if one.name == name]
    fitting: list[HostState] = []
    for state in states:
        for one in enabled:
            reason = one.function(state, request)
            if reason is not None:
                refusals.append(Refusal(state.name, one.name, reason))
                break
        else:
            fitting.append(state)
    return Choice(by_weight(fitting, options, request), refusals)


def _with_servers(tx: Tx, states: Iterable[HostState]) -> list[HostState]:
    table = table_of(Server).c
    on: dict[str, set[str]] = {}
    for row in tx.rows(select(table.id, table.host).where(table.deleted.is_(False))):
        on.setdefault(row.host, set()).add(row.id)
    return [HostState(one.host, one.capacity, frozenset(on.get(one.name, ()))) for one in states]


def by_weight(states: Sequence[HostState], options: ComputeOptions, request: Request) -> list[HostState]:
    """Most free memory first; vCPUs and disk count likewise. Each is scaled to 0..1 among the candidates.

    Members of a soft group count more than all of these: towards them, or away from them.
    """
    scores = dict.fromkeys((state.name for state in states), 0.0)
    for resource, multiplier in (
        ("MEMORY_MB", options.ram_weight_multiplier),
        ("VCPU", options.cpu_weight_multiplier),
        ("DISK_GB", options.disk_weight_multiplier),
    ):
        free = {state.name: state.capacity[resource].free for state in states if resource in state.capacity}
        if not free:
            continue
        lowest, span = min(free.values()), max(free.values()) - min(free.values())
        for name, units in free.items():
            scores[name] += multiplier * ((units - lowest) / span if span else 0.0)
    towards = {"soft-affinity": _SOFT_WEIGHT, "soft-anti-affinity": -_SOFT_WEIGHT}.get(request.group_policy or "", 0.0)
    for name in scores:
        scores[name] += towards * request.group_hosts.count(name)
    return sorted(states, key=lambda state: (-scores[state.name], state.name))


def place(tx: Tx, cloud: Cloud, server: Row[Any]) -> HostState | str:
    """Choose a host and claim its resources; the explanation if there is none."""
    resources = resources_of(tx, server)
    choice = choose(tx, cloud, request_of(tx, server), resources)
    for state in choice.hosts:
        try:
            with tx.savepoint():
                placement.claim(
                    tx,
                    server.id,
                    state.host.id,
                    resources,
                    project_id=server.project_id,
                    user_id=server.user_id,
                )
        except Conflict as error:
            choice.refusals.append(Refusal(state.name, "placement", error.message))
            continue
        return state
    return choice.explain()
