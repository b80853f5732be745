# SPDX-License-Identifier: Apache-2.0
"""The mapping engine: what an identity provider says of a user becomes a user, groups and projects here.

Meaning as in upstream's "Mapping Combinations": every rule whose remote part holds counts, the first user wins,
groups add up. Where upstream pastes values into text and reads the text again, values stay values here: nothing that
an identity provider sends is ever parsed, so a value cannot become two.
"""

from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from altostratus.services.identity.federation.mapping_rules import CONDITIONS, FILTERS, PLACE, pattern

Assertion = Mapping[str, Sequence[str]]
Named = dict[str, str]
_DirectMaps = list[list[str]]
_JSON_GROUP = "JSON:"


class MappingError(Exception):
    """The rules do not lead from this assertion to a user; the message says why, for the log."""


class GroupName(NamedTuple):
    name: str
    domain: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MappedProject:
    """`domain`: `{"id"}` or `{"name"}`; None for the user's own. `roles` are names."""

    name: str
    domain: Named | None
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """Outcome of a mapping. `user`: type, and those of id, name, email, domain that the rules gave."""

    user: dict[str, Any]
    group_ids: tuple[str, ...]
    group_names: tuple[GroupName, ...]
    projects: tuple[MappedProject, ...]


def apply_mapping(rules: Iterable[dict[str, Any]], version: str, assertion: Assertion) -> Mapped:
    """`assertion`: values by attribute name. Raises MappingError."""
    applying = [
        (rule["local"], maps) for rule in rules if (maps := _direct_maps(rule["remote"], assertion)) is not None
    ]
    if not applying:
        raise MappingError("no rule of the mapping applies to what the identity provider said")
    user: dict[str, Any] = {}
    group_ids: dict[str, None] = {}
    group_names: dict[GroupName, None] = {}
    projects: tuple[MappedProject, ...] = ()
    default_domain: Named | None = None
    for local, maps in ((one, maps) for locals_, maps in applying for one in locals_):
        domain = _filled(local["domain"], maps) if "domain" in local else None
        default_domain = domain or default_domain
        if "user" in local and not user:
            user = _filled(local["user"], maps)
            if version != "1.0" and domain is not None:
                user.setdefault("domain", domain)
        group_ids |= dict.fromkeys(_group_ids(local, maps))
        group_names |= dict.fromkeys(_group_names(local, domain, maps))
        if "projects" in local:
            projects = tuple(_project(one, domain if version != "1.0" else None, maps) for one in local["projects"])
    if version != "1.0" and default_domain is not None:
        user.setdefault("domain", default_domain)
    user.setdefault("type", "ephemeral")
    return Mapped(user, tuple(group_ids), tuple(group_names), projects)


def _direct_maps(remote: list[dict[str, Any]], assertion: Assertion) -> _DirectMaps | None:
    """Values for `{0}`, `{1}` ...; None if the rule does not apply."""
    maps: _DirectMaps = []
    for entry in remote:
        values = list(dict.fromkeys(assertion.get(entry["type"], ())))
        if not values:
            return None
        kind = next((name for name in CONDITIONS if name in entry), None)
        if kind is None:
            maps.append(values)
            continue
        matching = [value for value in values if _matches(value, entry[kind], regex=entry.get("regex", False))]
        if kind in FILTERS:
            maps.append(matching if kind == "whitelist" else [value for value in values if value not in matching])
        elif bool(matching) != (kind == "any_one_of"):
            return None
    return maps


def _matches(value: str, wanted: list[str], *, regex: bool) -> bool:
    return any(pattern(text).is_valid(value) for text in wanted) if regex else value in wanted


def _group_ids(local: dict[str, Any], maps: _DirectMaps) -> list[str]:
    found = _spread(local["group"]["id"], maps) if "id" in local.get("group", ()) else []
    return found + (_listed(local["group_ids"], maps) if "group_ids" in local else [])


def _group_names(local: dict[str, Any], domain: Named | None, maps: _DirectMaps) -> list[GroupName]:
    found = []
    if "name" in local.get("group", ()):
        place = _key(_filled(local["group"]["domain"], maps))
        found += [GroupName(name, place) for name in _spread(local["group"]["name"], maps)]
    if "groups" in local:
        names = _listed(local["groups"], maps)
        found += [_whole_group(text) if domain is None else GroupName(text, _key(domain)) for text in names]
    return found


def _whole_group(text: str) -> GroupName:
    """`JSON:{"name": ..., "domain": {"id" or "name": ...}}`, as other clouds send their users' groups."""
    try:
        if not text.startswith(_JSON_GROUP):
            raise ValueError("no domain")
        given = msgspec.json.decode(text.removeprefix(_JSON_GROUP), type=_Group)
    except (ValueError, msgspec.MsgspecError):
        raise MappingError(f"group {text[:80]!r} comes without a domain, and the rule gives none") from None
    return GroupName(given.name, _key({name: value for name, value in given.domain.items() if name in ("id", "name")}))


class _Group(msgspec.Struct):
    name: str
    domain: dict[str, str]


def _project(given: dict[str, Any], domain: Named | None, maps: _DirectMaps) -> MappedProject:
    own = _filled(given["domain"], maps) if "domain" in given else domain
    return MappedProject(_fill(given["name"], maps), own, tuple(_fill(role["name"], maps) for role in given["roles"]))


def _key(domain: Named) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(domain.items()))


# values into text


def _filled(given: dict[str, Any], maps: _DirectMaps) -> dict[str, Any]:
    return {
        name: _filled(value, maps) if isinstance(value, dict) else _fill(value, maps) for name, value in given.items()
    }


def _fill(text: str, maps: _DirectMaps) -> str:
    """Raises MappingError where a place has no value, or several of them."""

    def value(place: int) -> str:
        if len(maps[place]) != 1:
            raise MappingError(f"{text[:80]!r} needs one value for {{{place}}}, but there are {len(maps[place])}")
        return maps[place][0]

    return _replace(text, value) if maps else text


def _spread(text: str, maps: _DirectMaps) -> list[str]:
    """One text for each value of the place that has several. Raises MappingError if two have."""
    if not maps:
        return [text]
    places = {int(found[1]) for found in PLACE.finditer(text) if found[1] is not None}
    many = [place for place in places if len(maps[place]) != 1]
    if not many:
        return [_fill(text, maps)]
    if len(many) > 1:
        raise MappingError(f"{text[:80]!r} has more than one place with several values")
    return [_fill(text, [[one] if place == many[0] else values for place, values in enumerate(maps)])
            for one in maps[many[0]]]  # fmt: skip


def _listed(text: str, maps: _DirectMaps) -> list[str]:
    """Several names: those of a place, or a list that the rule's author wrote, like `['a', 'b']`."""
    if maps and PLACE.search(text):
        return _spread(text, maps)
    try:
        written = literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [text]
    return [str(one) for one in written] if isinstance(written, list) else [text]


def _replace(text: str, value: Any) -> str:
    # in one pass: what was put in is not looked at again
    return PLACE.sub(lambda found: found[0][0] if found[1] is None else value(int(found[1])), text)
