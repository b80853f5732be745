# SPDX-License-Identifier: Apache-2.0
"""Query strings of placement: request groups such as `resources1=VCPU:1&required1=CUSTOM_X`."""

import re

from altostratus.kernel import ids
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.services.placement.logic import providers
from altostratus.services.placement.logic.candidates import Group

_PARAMETER = re.compile(r"(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{0,64})")


def parse_resources(text: str) -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:512`. Raises BadRequest."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, amount = part.partition(":")
        units = whole_number(amount)
        if not name or not units:
            raise BadRequest(
                f"Badly formed resources parameter {text!r}. Expected such as VCPU:4,DISK_GB:10, whole numbers above 0."
            )
        if name in found:
            raise BadRequest(f"Duplicate resource class {name} in the resources parameter.")
        found[name] = units
    return found


def _parse_required(call: Call, texts: list[str]) -> tuple[list[frozenset[str]], set[str]]:
    required: list[frozenset[str]] = []
    forbidden: set[str] = set()
    known = set(providers.all_traits(call.tx))
    for text in texts:
        if text.startswith("in:"):
            required.append(frozenset(text[3:].split(",")))
        else:
            for name in text.split(","):
                if name.startswith("!"):
                    forbidden.add(name[1:])
                else:
                    required.append(frozenset({name}))
    unknown = (set().union(*required) | forbidden) - known
    if unknown:
        raise BadRequest(f"No such trait(s): {', '.join(sorted(unknown))}.")
    return required, forbidden


def _parse_member_of(texts: list[str]) -> tuple[list[frozenset[str]], set[str]]:
    wanted: list[frozenset[str]] = []
    unwanted: set[str] = set()
    for text in texts:
        negative, value = text.startswith("!"), text.removeprefix("!")
        names = frozenset(value.removeprefix("in:").split(","))
        if not all(ids.is_uuid(name) for name in names):
            raise BadRequest("member_of takes one aggregate uuid, or in: and several with commas between them.")
        if negative:
            unwanted |= names
        else:
            wanted.append(names)
    return wanted, unwanted


def parse_groups(call: Call, *, single: bool = False) -> dict[str, Group]:
    """Request groups by suffix. `single`: only the group without a suffix. Raises BadRequest."""
    texts: dict[str, dict[str, list[str]]] = {}
    for name, values in call.query.items():
        matched = _PARAMETER.fullmatch(name)
        if matched:
            texts.setdefault(matched[2], {})[matched[1]] = values
    groups: dict[str, Group] = {}
    for suffix, given in texts.items():
        if single and suffix:
            raise BadRequest(f"Request groups with a suffix ({suffix}) are not for this list.")
        resources = parse_resources(given["resources"][-1]) if "resources" in given else {}
        providers.demand_classes(call.tx, resources)
        required, forbidden = _parse_required(call, given.get("required", []))
        wanted, unwanted = _parse_member_of(given.get("member_of", []))
        in_tree = given.get("in_tree", [None])[-1]
        if in_tree is not None and not ids.is_uuid(in_tree):
            raise BadRequest("in_tree takes the uuid of a resource provider.")
        groups[suffix] = Group(
            resources, tuple(required), frozenset(forbidden), tuple(wanted), frozenset(unwanted), in_tree
        )
    if not single and not any(group.resources for group in groups.values()):
        raise BadRequest("At least one group of resources is needed, such as resources=VCPU:1.")
    return groups
