# SPDX-License-Identifier: Apache-2.0
"""Providers with their inventories, traits and aggregates."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.services.placement.logic.standard import RESOURCE_CLASSES, TRAITS
from altostratus.services.placement.models import (
    Allocation,
    InventoryRow,
    Provider,
    ProviderAggregate,
    ProviderTrait,
    ResourceClass,
    Trait,
)

MAX_UNIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Inventory:
    """How much of one class a provider has. Capacity is `(total - reserved) * allocation_ratio`."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = MAX_UNIT
    step_size: int = 1
    allocation_ratio: float = 1.0

    @property
    def capacity(self) -> int:
        return int((self.total - self.reserved) * self.allocation_ratio)

    def refusal(self, amount: int, used: int) -> str | None:
        """Why `amount` cannot be had here, or None."""
        if amount < self.min_unit or amount > self.max_unit or amount % self.step_size:
            return f"asks for {amount}, but takes {self.min_unit} to {self.max_unit} in steps of {self.step_size}"
        if used + amount > self.capacity:
            return f"asks for {amount}, but only {max(0, self.capacity - used)} of {self.capacity} are free"
        return None


def get_provider(tx: Tx, provider_id: str) -> Row[Any]:
    row = tx.find(Provider, provider_id)
    if row is None:
        raise NotFound(f"No resource provider with uuid {provider_id} found.")
    return row


def create_provider(tx: Tx, provider_id: str, name: str, parent_id: str | None = None) -> Row[Any]:
    """Raises Conflict for a name or id that is taken, BadRequest for a parent that is not there."""
    root_id = provider_id
    if parent_id is not None:
        parent = tx.find(Provider, parent_id)
        if parent is None:
            raise BadRequest("parent provider UUID does not exist.")
        root_id = parent.root_id
    for found in (tx.find(Provider, provider_id), tx.find(Provider, name=name)):
        if found is not None:
            raise Conflict(f"Conflicting resource provider {name} already exists.", details="placement.duplicate_name")
    moment = clock.now()
    values = {"parent_id": parent_id, "root_id": root_id, "created_at": moment, "updated_at": moment}
    tx.insert(Provider, id=provider_id, name=name, generation=0, **values)
    return get_provider(tx, provider_id)


def remove_provider(tx: Tx, provider_id: str) -> None:
    """Raises Conflict while it has allocations or children."""
    if tx.find(Allocation, provider_id=provider_id) is not None:
        raise Conflict(
            f"Unable to delete resource provider {provider_id}: Resource provider has allocations.",
            details="placement.resource_provider.inuse",
        )
    if tx.find(Provider, parent_id=provider_id) is not None:
        raise Conflict(
            f"Unable to delete parent resource provider {provider_id}: It has child resource providers.",
            details="placement.resource_provider.cannot_delete_parent",
        )
    for model in (InventoryRow, ProviderTrait, ProviderAggregate):
        tx.delete_where(model, table_of(model).c.provider_id == provider_id)
    tx.delete(Provider, provider_id)


def raise_generation(tx: Tx, provider_id: str, expected: int | None = None) -> int:
    """Raises Conflict when `expected` is not the current generation."""
    current: int = get_provider(tx, provider_id).generation
    if expected is not None and expected != current:
        raise Conflict("resource provider generation conflict", details="placement.concurrent_update")
    tx.update(Provider, provider_id, generation=current + 1, updated_at=clock.now())
    return current + 1


def inventories_of(tx: Tx, provider_ids: Iterable[str]) -> dict[str, dict[str, Inventory]]:
    table = table_of(InventoryRow)
    found: dict[str, dict[str, Inventory]] = defaultdict(dict)
    for row in tx.rows(select(table).where(table.c.provider_id.in_(list(provider_ids)))):
        found[row.provider_id][row.resource_class] = Inventory(
            row.total, row.reserved, row.min_unit, row.max_unit, row.step_size, row.allocation_ratio
        )
    return found


def set_inventories(tx: Tx, provider_id: str, wanted: Mapping[str, Inventory]) -> None:
    """Replace all inventories. Raises Conflict when a class that goes away is in use."""
    demand_classes(tx, wanted)
    table = table_of(InventoryRow).c
    existing = inventories_of(tx, [provider_id]).get(provider_id, {})
    gone = set(existing) - set(wanted)
    used = usages(tx, [provider_id]).get(provider_id, {})
    for name in gone:
        if used.get(name):
            raise Conflict(
                f"Inventory for '{name}' on resource provider '{provider_id}' in use.",
                details="placement.inventory.inuse",
            )
    tx.delete_where(InventoryRow, table.provider_id == provider_id)
    rows = [
        {
            "provider_id": provider_id,
            "resource_class": name,
            "total": inventory.total,
            "reserved": inventory.reserved,
            "min_unit": inventory.min_unit,
            "max_unit": inventory.max_unit,
            "step_size": inventory.step_size,
            "allocation_ratio": inventory.allocation_ratio,
        }
        for name, inventory in wanted.items()
    ]
    tx.insert_many(InventoryRow, rows)


def usages(tx: Tx, provider_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Units in use by provider and class."""
    table = table_of(Allocation).c
    statement = (
        select(table.provider_id, table.resource_class, func.sum(table.used).label("units"))
        .where(table.provider_id.in_(list(provider_ids)))
        .group_by(table.provider_id, table.resource_class)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in tx.rows(statement):
        found[row.provider_id][row.resource_class] = int(row.units)
    return found


def traits_of(tx: Tx, provider_ids: Iterable[str]) -> dict[str, set[str]]:
    table = table_of(ProviderTrait)
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.rows(select(table).where(table.c.provider_id.in_(list(provider_ids)))):
        found[row.provider_id].add(row.trait)
    return found


def set_traits(tx: Tx, provider_id: str, traits: Iterable[str]) -> None:
    """Raises BadRequest for a trait that nobody made."""
    wanted = set(traits)
    unknown = wanted - set(all_traits(tx))
    if unknown:
        raise BadRequest(
            f"No such trait {', '.join(sorted(unknown))}. Create custom traits with PUT /traits/CUSTOM_..."
        )
    tx.delete_where(ProviderTrait, table_of(ProviderTrait).c.provider_id == provider_id)
    tx.insert_many(ProviderTrait, [{"provider_id": provider_id, "trait": trait} for trait in sorted(wanted)])


def aggregates_of(tx: Tx, provider_ids: Iterable[str]) -> dict[str, set[str]]:
    table = table_of(ProviderAggregate)
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.rows(select(table).where(table.c.provider_id.in_(list(provider_ids)))):
        found[row.provider_id].add(row.aggregate_id)
    return found


def set_aggregates(tx: Tx, provider_id: str, aggregates: Iterable[str]) -> None:
    tx.delete_where(ProviderAggregate, table_of(ProviderAggregate).c.provider_id == provider_id)
    rows = [{"provider_id": provider_id, "aggregate_id": one} for one in sorted(set(aggregates))]
    tx.insert_many(ProviderAggregate, rows)


def all_traits(tx: Tx) -> list[str]:
    return [*TRAITS, *tx.scalars(select(table_of(Trait).c.name).order_by(table_of(Trait).c.name))]


def all_classes(tx: Tx) -> list[str]:
    table = table_of(ResourceClass).c
    return [*RESOURCE_CLASSES, *tx.scalars(select(table.name).order_by(table.name))]


def demand_classes(tx: Tx, names: Iterable[str]) -> None:
    """Raises BadRequest for a resource class that does not exist."""
    unknown = set(names) - set(RESOURCE_CLASSES)
    if unknown and (unknown := unknown - set(all_classes(tx))):
        raise BadRequest(f"Unknown resource class {', '.join(sorted(unknown))}. Known: {', '.join(all_classes(tx))}.")
