# SPDX-License-Identifier: Apache-2.0
"""Who uses how much of whom."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.services.placement.logic import providers
from altostratus.services.placement.models import Allocation, Consumer, Provider

Resources = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """The wanted allocations of one consumer: provider id to resources. Empty: none any more.

    `generation`: the consumer's known generation, None for a new consumer; `any_generation` skips the check.
    """

    consumer_id: str
    allocations: Mapping[str, Resources]
    project_id: str
    user_id: str
    consumer_type: str = "INSTANCE"
    generation: int | None = None
    any_generation: bool = True


def allocations_of(tx: Tx, consumer_ids: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """consumer -> provider -> class -> units."""
    table = table_of(Allocation)
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in tx.rows(select(table).where(table.c.consumer_id.in_(list(consumer_ids)))):
        found[row.consumer_id][row.provider_id][row.resource_class] = row.used
    return found


def set_allocations(tx: Tx, claims: Iterable[Claim]) -> None:
    """Replace the allocations of all these consumers at once. Raises Conflict when they do not fit."""
    claims = list(claims)
    for claim in claims:
        _demand_generation(tx, claim)
    table = table_of(Allocation).c
    before = allocations_of(tx, [claim.consumer_id for claim in claims])
    touched = {provider for claim in claims for provider in claim.allocations}
    touched |= {provider for allocations in before.values() for provider in allocations}
    tx.delete_where(Allocation, table.consumer_id.in_([claim.consumer_id for claim in claims]))
    _demand_room(tx, claims)
    rows = [
        {"consumer_id": claim.consumer_id, "provider_id": provider, "resource_class": name, "used": amount}
        for claim in claims
        for provider, resources in claim.allocations.items()
        for name, amount in resources.items()
    ]
    tx.insert_many(Allocation, rows)
    for claim in claims:
        _keep_consumer(tx, claim)
    for provider in touched:
        providers.raise_generation(tx, provider)


def _demand_generation(tx: Tx, claim: Claim) -> None:
    if claim.any_generation:
        return
    known = tx.find(Consumer, claim.consumer_id)
    current = known.generation if known is not None else None
    if current != claim.generation:
        raise Conflict(
            f"consumer generation conflict - expected {current} but got {claim.generation}",
            details="placement.concurrent_update",
        )


def _demand_room(tx: Tx, claims: list[Claim]) -> None:
    wanted: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for claim in claims:
        for provider, resources in claim.allocations.items():
            for name, amount in resources.items():
                wanted[provider][name].append(amount)
    if not wanted:
        return
    table = table_of(Provider).c
    known = set(tx.scalars(select(table.id).where(table.id.in_(list(wanted)))))
    missing = set(wanted) - known
    if missing:
        raise BadRequest(f"Allocation for resource provider '{min(missing)}' that does not exist.")
    inventories = providers.inventories_of(tx, wanted)
    used = providers.usages(tx, wanted)
    for provider, classes in wanted.items():
        providers.demand_classes(tx, classes)
        for name, amounts in classes.items():
            inventory = inventories.get(provider, {}).get(name)
            taken = used.get(provider, {}).get(name, 0)
            for amount in amounts:
                reason = "there is none" if inventory is None else inventory.refusal(amount, taken)
                if reason:
                    raise Conflict(
                        f"Unable to allocate inventory: Unable to create allocation for '{name}' on resource provider "
                        f"'{provider}'. The requested amount would exceed the capacity: {reason}."
                    )
                taken += amount


def _keep_consumer(tx: Tx, claim: Claim) -> None:
    known = tx.find(Consumer, claim.consumer_id)
    if not any(claim.allocations.values()):
        tx.delete(Consumer, claim.consumer_id)
        return
    owner = {"project_id": claim.project_id, "user_id": claim.user_id, "consumer_type": claim.consumer_type}
    if known is None:
        moment = clock.now()
        tx.insert(Consumer, id=claim.consumer_id, generation=1, created_at=moment, updated_at=moment, **owner)
    else:
        generation = known.generation + 1
        tx.update(Consumer, claim.consumer_id, generation=generation, updated_at=clock.now(), **owner)


def release(tx: Tx, consumer_id: str) -> bool:
    """Delete all allocations of a consumer; False if it had none."""
    had = allocations_of(tx, [consumer_id]).get(consumer_id, {})
    tx.delete_where(Allocation, table_of(Allocation).c.consumer_id == consumer_id)
    tx.delete(Consumer, consumer_id)
    for provider in had:
        providers.raise_generation(tx, provider)
    return bool(had)


def project_usages(tx: Tx, project_id: str, user_id: str | None, consumer_type: str | None) -> list[Row[Any]]:
    """Rows of (consumer_type, resource_class, units, consumers)."""
    consumer, allocation = table_of(Consumer).c, table_of(Allocation).c
    statement: Any = (
        select(
            consumer.consumer_type,
            allocation.resource_class,
            func.sum(allocation.used).label("units"),
            func.count(func.distinct(consumer.id)).label("consumers"),
        )
        .join_from(table_of(Allocation), table_of(Consumer), allocation.consumer_id == consumer.id)
        .where(consumer.project_id == project_id)
        .group_by(consumer.consumer_type, allocation.resource_class)
    )
    if user_id:
        statement = statement.where(consumer.user_id == user_id)
    if consumer_type and consumer_type not in ("all", "unknown"):
        statement = statement.where(consumer.consumer_type == consumer_type)
    return tx.rows(statement)
