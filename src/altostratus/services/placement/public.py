# SPDX-License-Identifier: Apache-2.0
"""The door of placement for other services."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from altostratus.kernel.db import Tx
from altostratus.services.placement.logic import allocations, candidates, providers
from altostratus.services.placement.logic.allocations import Claim
from altostratus.services.placement.logic.candidates import Group
from altostratus.services.placement.logic.providers import Inventory
from altostratus.services.placement.models import Provider

__all__ = [
    "Candidate",
    "Capacity",
    "Inventory",
    "allocations_of",
    "claim",
    "ensure_provider",
    "explain_shortage",
    "list_candidates",
    "release",
    "remove_provider",
    "usages",
]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of one resource class of one provider."""

    total: int
    used: int
    allocation_ratio: float
    reserved: int

    @property
    def free(self) -> float:
        return (self.total - self.reserved) * self.allocation_ratio - self.used


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that can serve a request alone."""

    provider_id: str
    name: str
    capacity: Mapping[str, Capacity]
    traits: frozenset[str] = frozenset()


def ensure_provider(
    tx: Tx,
    provider_id: str,
    name: str,
    inventories: Mapping[str, Inventory],
    traits: Iterable[str] = (),
    parent_id: str | None = None,
) -> None:
    """Make the provider exist with exactly these inventories and at least these traits; writes only changes."""
    if tx.find(Provider, provider_id) is None:
        providers.create_provider(tx, provider_id, name, parent_id)
    changed = False
    if providers.inventories_of(tx, [provider_id]).get(provider_id, {}) != dict(inventories):
        providers.set_inventories(tx, provider_id, inventories)
        changed = True
    have = providers.traits_of(tx, [provider_id]).get(provider_id, set())
    wanted = set(traits)
    if not wanted <= have:
        providers.set_traits(tx, provider_id, have | wanted)
        changed = True
    if changed:
        providers.raise_generation(tx, provider_id)


def remove_provider(tx: Tx, provider_id: str) -> None:
    """Raises Conflict while it has allocations."""
    providers.remove_provider(tx, provider_id)


def list_candidates(
    tx: Tx,
    resources: Mapping[str, int],
    *,
    required: Iterable[str] = (),
    forbidden: Iterable[str] = (),
    member_of: Iterable[frozenset[str]] = (),
) -> list[Candidate]:
    """Providers that can serve all `resources` now, by name."""
    group = _group(resources, required, forbidden, member_of)
    found = []
    for view in candidates.view_providers(tx):
        if candidates.refusal(view, group) is None:
            capacity = {
                name: Capacity(one.total, view.used.get(name, 0), one.allocation_ratio, one.reserved)
                for name, one in view.inventories.items()
            }
            found.append(Candidate(view.id, view.name, capacity, view.traits))
    return found


def explain_shortage(
    tx: Tx,
    resources: Mapping[str, int],
    *,
    required: Iterable[str] = (),
    forbidden: Iterable[str] = (),
    member_of: Iterable[frozenset[str]] = (),
) -> list[tuple[str, str]]:
    """(provider name, why it cannot serve the request) for every provider that cannot."""
    group = _group(resources, required, forbidden, member_of)
    reasons = ((view.name, candidates.refusal(view, group)) for view in candidates.view_providers(tx))
    return [(name, reason) for name, reason in reasons if reason is not None]


def _group(
    resources: Mapping[str, int],
    required: Iterable[str],
    forbidden: Iterable[str],
    member_of: Iterable[frozenset[str]],
) -> Group:
    wanted = {name: amount for name, amount in resources.items() if amount > 0}
    return Group(wanted, tuple(frozenset({one}) for one in required), frozenset(forbidden), tuple(member_of))


def claim(
    tx: Tx,
    consumer_id: str,
    provider_id: str,
    resources: Mapping[str, int],
    *,
    project_id: str,
    user_id: str,
    consumer_type: str = "INSTANCE",
) -> None:
    """Give the consumer exactly these resources of this provider. Raises Conflict when they do not fit."""
    wanted = {name: amount for name, amount in resources.items() if amount > 0}
    allocations.set_allocations(tx, [Claim(consumer_id, {provider_id: wanted}, project_id, user_id, consumer_type)])


def release(tx: Tx, consumer_id: str) -> None:
    """Nothing there is success."""
    allocations.release(tx, consumer_id)


def allocations_of(tx: Tx, consumer_ids: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """consumer -> provider -> resource class -> units."""
    return allocations.allocations_of(tx, consumer_ids)


def usages(tx: Tx, provider_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """provider -> resource class -> units in use."""
    return providers.usages(tx, provider_ids)
