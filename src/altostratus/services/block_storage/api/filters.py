# SPDX-License-Identifier: Apache-2.0
"""Filters of block storage's lists: texts that are dictionaries, `name~`, and times with operators."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, false, func, type_coerce

from altostratus.kernel import clock
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import parse_bool
from altostratus.kernel.resource.lists import PAGING, Page, parse_limit

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
}
Make = Callable[[str], Any]


def page(call: Call, statement: Any) -> Page:
    """One page of the rows. A full page has a next one here, be it empty; a marker that is gone answers 404."""
    try:
        found = call.list_rows(statement)
        limit = parse_limit(call.query, call.service.style)
        return found._replace(more=found.more or (limit is not None and len(found.rows) == limit))
    except BadRequest as error:
        if error.kind == "MarkerNotFound":
            raise NotFound(error.message) from error
        raise


def conditions(call: Call, known: Mapping[str, Make], *, likes: Mapping[str, Any]) -> list[Any]:
    """Conditions of the query's filters. `known` makes one of a text; `likes` are columns that take `name~`.

    Unknown filters are left out for old microversions and administrators, else refused. Raises BadRequest.
    """
    found: list[Any] = []
    strict = call.version is not None and call.version.minor >= 33 and not call.ctx.is_admin
    unknown = []
    for name, values in call.query.items():
        if name in PAGING or name == "with_count":
            continue
        if name in known:
            found.append(known[name](values[-1]))
        elif name.endswith("~") and name[:-1] in likes and call.version is not None and call.version.minor >= 34:
            found.append(likes[name[:-1]].contains(values[-1], autoescape=True))
        else:
            unknown.append(name)
    if strict and unknown:
        raise BadRequest(f"Invalid filters {', '.join(sorted(unknown))} are found in query options.")
    return [condition for condition in found if condition is not None]


def equals(column: Any) -> Make:
    return lambda text: column == text


def flag(column: Any, name: str) -> Make:
    def make(text: str) -> Any:
        try:
            return column == parse_bool(text)
        except ValueError:
            raise BadRequest(f"Invalid input received: '{name} = {text}'. Use true or false.") from None

    return make


def pairs(column: Any) -> Make:
    """`{'a': 'b'}` as Python or JSON writes it: all pairs must be in the stored dictionary."""

    def make(text: str) -> Any:
        wanted = _dictionary(text)
        if wanted is None:
            return false()
        stored = type_coerce(column, Text)
        needles = [f"{_json(str(name))}:{_json(str(value))}" for name, value in wanted.items()]
        matches: list[ColumnElement[bool]] = [func.replace(stored, needle, "") != stored for needle in needles]
        return None if not matches else _all(matches)

    return make


def _all(matches: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    whole = matches[0]
    for match in matches[1:]:
        whole = whole & match
    return whole


def _dictionary(text: str) -> dict[Any, Any] | None:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def moments(column: Any, name: str) -> Make:
    """`gt:2020-01-01T00:00:00,lt:...`."""

    def make(text: str) -> Any:
        matches = []
        for part in text.split(","):
            kind, _, moment = part.partition(":")
            if kind not in _COMPARISONS:
                raise BadRequest(f"Invalid {kind} operator. Use one of {', '.join(_COMPARISONS)}.")
            try:
                at = clock.to_timestamp(clock.parse(moment.replace(" ", "+")))
            except ValueError:
                raise BadRequest(f"Invalid {moment} value of {name}. Use ISO 8601.") from None
            matches.append(_COMPARISONS[kind](column, at))
        return _all(matches)

    return make
