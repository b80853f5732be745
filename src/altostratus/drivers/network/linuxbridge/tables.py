# SPDX-License-Identifier: Apache-2.0
"""From one nftables table to another: the lines of the transaction that makes the difference.

Order within a transaction: declare what is new, take away elements and rules, then add rules, then
elements, then delete what nothing refers to any more. Kernel and `nft` accept exactly this order.
"""

from collections.abc import Iterable

from altostratus.drivers.network.linuxbridge.execute import Command
from altostratus.drivers.network.linuxbridge.model import HOST, Owner, SetPlan, TablePlan

# a statement never exceeds this, so that a transaction can be cut between statements where it must be
_MOST_ELEMENTS = 500
_EMPTY = SetPlan(typed="", elements={})


def plan_table_change(observed: TablePlan | None, wanted: TablePlan | None) -> list[Command]:
    """Lines from `observed` (None: unknown or absent) to `wanted` (None: no such table)."""
    if wanted is None:
        return plan_table_removal(observed.family, observed.name) if observed is not None else []
    where = f"{wanted.family} {wanted.name}"
    lines: list[Command] = []
    if observed is None:
        # replaced as a whole, within the same transaction: at no time is there no table
        lines += [*plan_table_removal(wanted.family, wanted.name), Command(f"add table {where}")]
        observed = TablePlan(family=wanted.family, name=wanted.name, sets={}, chains={})
    elif observed is wanted:
        return []
    # a set of another type is another set
    kept_sets = {n: s for n, s in observed.sets.items() if n in wanted.sets and _same_type(s, wanted.sets[n])}
    retyped = [name for name in observed.sets if name in wanted.sets and name not in kept_sets]
    if retyped or any(c.hook != wanted.chains[n].hook for n, c in observed.chains.items() if n in wanted.chains):
        return plan_table_change(None, wanted)
    for name, planned in wanted.sets.items():
        if name not in kept_sets:
            lines.append(Command(f"add {planned.kind} {where} {name} {{ {planned.typed} }}"))
    for name, chain in wanted.chains.items():
        if name not in observed.chains:
            hook = f" {{ {chain.hook} }}" if chain.hook else ""
            lines.append(Command(f"add chain {where} {name}{hook}", chain.owner))
    lines += _element_changes(where, observed, wanted)
    return lines


def plan_table_removal(family: str, name: str) -> list[Command]:
    """Lines that remove a table whether it is there or not."""
    return [Command(f"add table {family} {name}"), Command(f"delete table {family} {name}")]


def _same_type(one: SetPlan, other: SetPlan) -> bool:
    return one.kind == other.kind and one.typed == other.typed


def _element_changes(where: str, observed: TablePlan, wanted: TablePlan) -> list[Command]:
    lines: list[Command] = []
    gone_chains = [name for name in observed.chains if name not in wanted.chains]
    gone_sets = [name for name in observed.sets if name not in wanted.sets]
    changed = [
        name
        for name, chain in wanted.chains.items()
        if name not in observed.chains or chain.rules != observed.chains[name].rules
    ]
    for name, planned in observed.sets.items():
        kept = wanted.sets.get(name, _EMPTY).elements
        if kept is not planned.elements and name in wanted.sets:
            lines += _elements("delete", where, name, planned.elements, planned.elements.keys() - kept.keys())
    lines += [Command(f"flush chain {where} {name}") for name in (*gone_chains, *changed) if name in observed.chains]
    for name in changed:
        chain = wanted.chains[name]
        lines += [Command(f"add rule {where} {name} {rule}", chain.owner) for rule in chain.rules]
    for name, planned in wanted.sets.items():
        known = observed.sets.get(name, _EMPTY).elements
        if known is not planned.elements:
            lines += _elements("add", where, name, planned.elements, planned.elements.keys() - known.keys())
    lines += [Command(f"delete {observed.sets[name].kind} {where} {name}") for name in gone_sets]
    lines += [Command(f"delete chain {where} {name}") for name in gone_chains]
    return lines


def _elements(verb: str, where: str, name: str, owners: dict[str, Owner], elements: Iterable[str]) -> list[Command]:
    chosen = sorted(elements)
    if not chosen:
        return []
    lines: list[Command] = []
    for start in range(0, len(chosen), _MOST_ELEMENTS):
        lines.append(Command(f"{verb} element {where} {name} {{"))
        lines += [Command(f"  {element},", owners.get(element, HOST)) for element in chosen[start:][:_MOST_ELEMENTS]]
        lines.append(Command("}"))
    return lines
