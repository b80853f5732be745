# SPDX-License-Identifier: Apache-2.0
"""Which providers could serve a request, and why the others could not.

A request has groups. The group "" may be spread over the providers of one tree; a named group comes
from one provider. Everything is read in five queries, whatever the number of providers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Tx, table_of
from altostratus.services.placement.logic import providers
from altostratus.services.placement.logic.providers import Inventory
from altostratus.services.placement.models import Provider

MOST_COMBINATIONS = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """What one request group asks for. `member_of`: every set must be met by one of its aggregates."""

    resources: Mapping[str, int]
    required: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: tuple[frozenset[str], ...] = ()
    not_member_of: frozenset[str] = frozenset()
    in_tree: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderView:
    """All that is known of one provider, read at once."""

    id: str
    name: str
    generation: int
    parent_id: str | None
    root_id: str
    inventories: Mapping[str, Inventory]
    used: Mapping[str, int]
    traits: frozenset[str]
    aggregates: frozenset[str]


@dataclass(slots=True)
class Offer:
    """One way to serve the request: resources by provider, and which provider serves which group."""

    allocations: dict[str, dict[str, int]] = field(default_factory=dict)
    mappings: dict[str, list[str]] = field(default_factory=dict)


def view_providers(tx: Tx) -> list[ProviderView]:
    table = table_of(Provider)
    rows: list[Any] = tx.rows(select(table).order_by(table.c.name))
    known = [row.id for row in rows]
    inventories, used = providers.inventories_of(tx, known), providers.usages(tx, known)
    traits, aggregates = providers.traits_of(tx, known), providers.aggregates_of(tx, known)
    return [
        ProviderView(
            row.id,
            row.name,
            row.generation,
            row.parent_id,
            row.root_id,
            inventories.get(row.id, {}),
            used.get(row.id, {}),
            frozenset(traits.get(row.id, ())),
            frozenset(aggregates.get(row.id, ())),
        )
        for row in rows
    ]


def refusal(view: ProviderView, group: Group, *, resources: Mapping[str, int] | None = None) -> str | None:
    """Why this provider alone cannot serve the group; None if it can."""
    if group.in_tree and group.in_tree not in (view.root_id, view.id):
        return "is not in the tree that was asked for"
    for any_of in group.required:
        if not any_of & view.traits:
            return f"lacks the trait {' or '.join(sorted(any_of))}"
    unwanted = group.forbidden & view.traits
    if unwanted:
        return f"has the forbidden trait {', '.join(sorted(unwanted))}"
    for any_of in group.member_of:
        if not any_of & view.aggregates:
            return f"is in none of the aggregates {', '.join(sorted(any_of))}"
    if group.not_member_of & view.aggregates:
        return "is in an aggregate that was excluded"
    for name, amount in (group.resources if resources is None else resources).items():
        inventory = view.inventories.get(name)
        reason = f"has no {name}" if inventory is None else inventory.refusal(amount, view.used.get(name, 0))
        if reason:
            return f"{name}: {reason}" if inventory else reason
    return None


def list_offers(
    views: Iterable[ProviderView], groups: Mapping[str, Group], *, isolate: bool = False, limit: int | None = None
) -> list[Offer]:
    """Offers in order of provider name. `isolate`: named groups need different providers."""
    trees: dict[str, list[ProviderView]] = {}
    for view in views:
        trees.setdefault(view.root_id, []).append(view)
    offers: list[Offer] = []
    for tree in trees.values():
        offers += islice(_tree_offers(tree, groups, isolate), MOST_COMBINATIONS)
        if limit is not None and len(offers) >= limit:
            return offers[:limit]
    return offers


def _tree_offers(tree: list[ProviderView], groups: Mapping[str, Group], isolate: bool) -> Iterable[Offer]:
    choices: list[list[tuple[str, dict[str, dict[str, int]]]]] = []
    for suffix, group in groups.items():
        ways = _spread(tree, group) if suffix == "" else _single(tree, group)
        if not ways:
            return
        choices.append([(suffix, way) for way in ways])
    views = {view.id: view for view in tree}
    for combination in product(*choices):
        offer = _merge(combination)
        named = [next(iter(way)) for suffix, way in combination if suffix and way]
        if isolate and len(set(named)) != len(named):
            continue
        if all(_fits(views[provider], resources) for provider, resources in offer.allocations.items()):
            yield offer


def _single(tree: list[ProviderView], group: Group) -> list[dict[str, dict[str, int]]]:
    return [{view.id: dict(group.resources)} for view in tree if refusal(view, group) is None]


def _spread(tree: list[ProviderView], group: Group) -> list[dict[str, dict[str, int]]]:
    """Each class from some provider of the tree; traits may be met by any provider that is used or the root."""
    per_class: list[list[tuple[str, str, int]]] = []
    bare = Group({}, (), frozenset(), group.member_of, group.not_member_of, group.in_tree)
    able = [view for view in tree if refusal(view, bare) is None]
    for name, amount in group.resources.items():
        found = [(view.id, name, amount) for view in able if refusal(view, bare, resources={name: amount}) is None]
        if not found:
            return []
        per_class.append(found)
    traits = {view.id: view.traits for view in tree}
    root = tree[0].root_id
    ways: list[dict[str, dict[str, int]]] = []
    for chosen in islice(product(*per_class), MOST_COMBINATIONS):
        way: dict[str, dict[str, int]] = {}
        for provider, name, amount in chosen:
            way.setdefault(provider, {})[name] = amount
        have = frozenset().union(*(traits[provider] for provider in (*way, root)))
        if all(any_of & have for any_of in group.required) and not group.forbidden & have:
            ways.append(way)
    return ways


def _merge(combination: Iterable[tuple[str, dict[str, dict[str, int]]]]) -> Offer:
    offer = Offer()
    for suffix, way in combination:
        offer.mappings[suffix] = sorted(way)
        for provider, resources in way.items():
            mine = offer.allocations.setdefault(provider, {})
            for name, amount in resources.items():
                mine[name] = mine.get(name, 0) + amount
    return offer


def _fits(view: ProviderView, resources: Mapping[str, int]) -> bool:
    return refusal(view, Group(resources)) is None
