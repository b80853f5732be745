# SPDX-License-Identifier: Apache-2.0
"""Filters of the image list: operators (`in:`, `gte:` ...), tags and made-up properties."""

import csv
import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, func, type_coerce

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.image.models import ImageRow

NOT_FILTERS = frozenset(
    ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status", "visibility", "changes-since")
)
_MANY = ("name", "id", "status", "container_format", "disk_format")
_NUMBERS = ("size", "min_ram", "min_disk", "virtual_size")
_PLAIN = ("owner", "checksum", "os_hash_value", "os_hash_algo")
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def conditions_of(query: Mapping[str, list[str]]) -> list[ColumnElement[bool]]:
    """One condition per filter of the query. Raises BadRequest for a value that cannot be compared."""
    if "changes-since" in query:
        raise BadRequest('The "changes-since" filter is no longer available on v2. Use updated_at=gte:<time>.')
    image = table_of(ImageRow).c
    conditions: list[Any] = [image.os_hidden == _bool("os_hidden", query.get("os_hidden", ["false"])[-1])]
    if "protected" in query:
        conditions.append(image.protected == _bool("protected", query["protected"][-1]))
    for name, values in query.items():
        if name in NOT_FILTERS or name in ("os_hidden", "protected"):
            continue
        if name == "tag":
            conditions += [has_tag(value) for value in values]
        else:
            conditions.append(_condition(name, values[-1]))
    return conditions


def _condition(name: str, value: str) -> Any:
    image = table_of(ImageRow).c
    if name in _MANY:
        kind, rest = _split(value, "in")
        return image[name].in_(_unquote(rest)) if kind == "in" else image[name] == rest
    stem, _, bound = name.rpartition("_")
    if bound in ("min", "max") and stem in _NUMBERS:
        number = _number(name, value)
        return image[stem] >= number if bound == "min" else image[stem] <= number
    if name in _NUMBERS:
        return image[name] == _number(name, value)
    if name in ("created_at", "updated_at"):
        kind, rest = _split(value, *_COMPARISONS)
        return _COMPARISONS[kind or "eq"](func.substr(image[name], 1, 19), _moment(name, rest))
    if name in _PLAIN:
        return image[name] == value
    return has_property(name, value)


def has_tag(tag: str) -> ColumnElement[bool]:
    """Does the stored JSON list hold this text? Quotes inside other texts are escaped there, so this is exact."""
    return _holds(table_of(ImageRow).c.tags, _json(tag))


def has_property(name: str, value: str) -> ColumnElement[bool]:
    return _holds(table_of(ImageRow).c.properties, f"{_json(name)}:{_json(value)}")


def _holds(column: Any, needle: str) -> ColumnElement[bool]:
    # replace() is the one search that every database does byte by byte, without case folding or wildcards
    text = type_coerce(column, Text)
    return func.replace(text, needle, "") != text


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _split(value: str, *operators: str) -> tuple[str | None, str]:
    kind, colon, rest = value.partition(":")
    if not colon:
        return None, value
    if kind in operators:
        return kind, rest
    if kind in ("in", *_COMPARISONS):
        raise BadRequest(f"Unable to filter by operator '{kind}' here. Use {', '.join(operators)}.")
    return None, value


def _unquote(text: str) -> list[str]:
    """`a,"b,c"` to a and b,c."""
    try:
        return next(csv.reader([text], strict=True, skipinitialspace=True), [])
    except csv.Error:
        raise BadRequest(f"Invalid filter value {text}. The quote is not closed.") from None


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadRequest(f"Unable to filter {name} with the value {value!r}, which is no whole number.") from None


def _bool(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadRequest(f"Invalid value '{value}' for '{name}' filter. Valid values are 'true' or 'false'.")
    return value.lower() == "true"


def _moment(name: str, value: str) -> str:
    try:
        return clock.to_timestamp(clock.parse(value.replace(" ", "+")))[:19]
    except ValueError:
        raise BadRequest(f'Bad "{name}" query filter format. Use ISO 8601 DateTime notation.') from None
