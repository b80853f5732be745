# SPDX-License-Identifier: Apache-2.0
"""From attributes to JSON members: a compiled list of readers per resource, version and rights."""

from collections.abc import Callable
from typing import Any

from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import MISSING, Field
from altostratus.kernel.resource.versions import Version

Reader = tuple[str, str | None, Callable[[Any, Any], Any] | None, Callable[[Any], Any] | None]

_MOST_SHAPES = 256


def render(call: Any, resource: type[Resource], rows: list[Any], *, only: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """JSON objects for `rows`, in their order. `only` names the wire members wanted (empty: all)."""
    if not rows:
        return []
    loaded = resource.load(call, rows) if resource.load else [_attributes(row) for row in rows]
    readers = _readers(resource, call.version, _hidden(call, resource), only)
    shown = [_render_one(call, readers, attributes) for attributes in loaded]
    if resource.unknown == "keep" and "extra" in loaded[0]:
        # members that clients made up come back beside the declared ones, never in their place
        return [{**(attributes["extra"] or {}), **one} for attributes, one in zip(loaded, shown, strict=True)]
    return shown


def _attributes(row: Any) -> Any:
    return row if isinstance(row, dict) else row._mapping


def _render_one(call: Any, readers: list[Reader], attributes: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for wire, name, compute, form in readers:
        if name is not None:
            value = attributes[name]
            shown[wire] = value if form is None or value is None else form(value)
        elif compute is not None:
            value = compute(attributes, call)
            if value is MISSING:
                continue
            shown[wire] = value if form is None or value is None else form(value)
    return shown


def _readers(
    resource: type[Resource], version: Version | None, hidden: frozenset[str], only: tuple[str, ...]
) -> list[Reader]:
    key = (version, hidden, only)
    known: list[Reader] | None = resource.readers.get(key)
    if known is not None:
        return known
    readers: list[Reader] = []
    for field in resource.fields_on("r", version):
        if field.wire in hidden or (only and field.wire not in only):
            continue
        source = field.source if field.source is not None else field.name
        if isinstance(source, str):
            readers.append((field.wire, source, None, field.form))
        else:
            readers.append((field.wire, None, source, field.form))
    if len(resource.readers) >= _MOST_SHAPES:
        resource.readers.clear()  # `only` can come from a request's `fields=`
    resource.readers[key] = readers
    return readers


def guarded_fields(resource: type[Resource], letter: str) -> list[Field]:
    return [field for field in resource.fields.values() if letter in field.guard]


def read_rule(resource: type[Resource]) -> str | None:
    """The rule whose name guarded fields extend: that of `show`, else of a list."""
    for kind in ("show", "list"):
        for operation in resource.operations:
            if operation.kind == kind and operation.rule:
                return operation.rule
    return None


def _hidden(call: Any, resource: type[Resource]) -> frozenset[str]:
    guarded = guarded_fields(resource, "r")
    if not guarded:
        return frozenset()
    rule = read_rule(resource)
    return frozenset(field.wire for field in guarded if not call.may(f"{rule}:{field.wire}"))
