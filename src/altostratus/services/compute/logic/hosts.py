# SPDX-License-Identifier: Apache-2.0
"""Compute hosts: what their agents announced, what people decided about them, where they belong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.models.hosts import Aggregate, AggregateHost, ComputeService
from altostratus.services.placement import public as placement

KIND = "server"


@dataclass(frozen=True, slots=True)
class AggregateInfo:
    """A group of hosts with its properties; `id` is the number of the API."""

    id: int
    name: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ComputeHost:
    """One host as the scheduler and the API see it.

    `facts` is what the agent says about the hypervisor: type, version, vcpus, memory_mib, disk_gib ...
    """

    name: str
    facts: Mapping[str, Any]
    last_seen: str
    first_seen: str
    up: bool
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False
    service_id: str = ""
    number: int = 0
    updated_at: str | None = None
    aggregates: tuple[AggregateInfo, ...] = ()
    zone: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The hypervisor's and the resource provider's id: the same for a name everywhere and always."""
        return provider_id(self.name)


def provider_id(host: str) -> str:
    return ids.derived_id("compute-host", host)


def list_hosts(tx: Tx, cloud: Cloud) -> list[ComputeHost]:
    """Every host with a compute agent, by name; three queries."""
    options = cloud[ComputeOptions]
    decided = {row.host: row for row in tx.rows(select(table_of(ComputeService)))}
    groups = aggregates_by_host(tx)
    oldest = clock.after(-options.host_timeout_s)
    found = []
    for host in cloud.desired.hosts(tx, kind=KIND):
        row = decided.get(host.name)
        mine = tuple(groups.get(host.name, ()))
        forced = bool(row and row.forced_down)
        facts = host.facts.get("compute", host.facts)
        found.append(
            ComputeHost(
                name=host.name,
                facts=facts.get("hypervisor", facts),
                usage=facts.get("usage", {}),
                last_seen=host.last_seen,
                first_seen=row.created_at if row else host.last_seen,
                up=host.last_seen >= oldest and not forced,
                disabled=bool(row and row.disabled),
                disabled_reason=row.disabled_reason if row else None,
                forced_down=forced,
                service_id=row.id if row else ids.derived_id("compute-service", host.name),
                number=row.number if row else 1,
                updated_at=max(row.updated_at, host.last_seen) if row else host.last_seen,
                aggregates=mine,
                zone=zone_of(mine, options.default_availability_zone),
            )
        )
    return found


def aggregates_by_host(tx: Tx) -> dict[str, list[AggregateInfo]]:
    aggregate, member = table_of(Aggregate), table_of(AggregateHost)
    statement = (
        select(member.c.host, aggregate.c.id, aggregate.c.name, aggregate.c.properties)
        .join(aggregate, aggregate.c.id == member.c.aggregate_id)
        .order_by(aggregate.c.id)
    )
    found: dict[str, list[AggregateInfo]] = {}
    for row in tx.rows(statement):
        found.setdefault(row.host, []).append(AggregateInfo(row.id, row.name, row.properties))
    return found


def zone_of(aggregates: tuple[AggregateInfo, ...], default: str) -> str:
    """The zone that the host's aggregates put it into."""
    for aggregate in aggregates:
        zone = aggregate.properties.get("availability_zone")
        if zone:
            return zone
    return default


def zones(tx: Tx, cloud: Cloud) -> dict[str, list[ComputeHost]]:
    """Zone -> its hosts."""
    found: dict[str, list[ComputeHost]] = {}
    for host in list_hosts(tx, cloud):
        found.setdefault(host.zone, []).append(host)
    return found


def ensure_service(tx: Tx, host: str) -> Row[Any]:
    """The host's service row, made if it is new."""
    row = tx.find(ComputeService, host=host)
    if row is None:
        number = int(tx.scalar(select(func.max(table_of(ComputeService).c.number))) or 0) + 1
        moment = clock.now()
        tx.insert(
            ComputeService,
            id=ids.derived_id("compute-service", host),
            number=number,
            host=host,
            created_at=moment,
            updated_at=moment,
        )
        row = tx.get(ComputeService, host=host)
    return row


def announce(tx: Tx, cloud: Cloud) -> None:
    """Service rows and placement providers for every host that has announced itself; idempotent."""
    options = cloud[ComputeOptions]
    for host in list_hosts(tx, cloud):
        ensure_service(tx, host.name)
        facts = host.facts
        if "vcpus" not in facts:
            continue
        memory, disk = int(facts["memory_mib"]), int(facts["disk_gib"])
        placement.ensure_provider(
            tx,
            host.id,
            host.name,
            {
                "VCPU": placement.Inventory(
                    int(facts["vcpus"]), max_unit=int(facts["vcpus"]), allocation_ratio=options.cpu_allocation_ratio
                ),
                "MEMORY_MB": placement.Inventory(
                    memory,
                    reserved=min(options.reserved_host_memory_mb, memory),
                    max_unit=memory,
                    allocation_ratio=options.ram_allocation_ratio,
                ),
                "DISK_GB": placement.Inventory(
                    disk,
                    reserved=min(options.reserved_host_disk_mb // 1024, disk),
                    max_unit=max(disk, 1),
                    allocation_ratio=options.disk_allocation_ratio,
                ),
            },
            set(),
        )
