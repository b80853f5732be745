# SPDX-License-Identifier: Apache-2.0
"""Lists: filters, sorting, paging and the envelope, in each service's manner.

`Style` is data in a service's manifest. Every list costs one query for its rows plus what the
resource's `load` needs, whatever its length.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, and_, false, or_, select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field


class Style(NamedTuple):
    """How a service pages and filters.

    unknown       an unknown filter is ignored, refused (400), or matches nothing
    admin_all     administrators see every project without asking (network, identity); else they must
                  say `all_tenants`
    links         how the next page is announced
    """

    links: Literal["nova", "neutron", "glance", "keystone", "none"] = "none"
    unknown: Literal["ignore", "refuse"] = "ignore"
    admin_all: bool = True
    max_limit: int = 1000
    default_limit: int | None = None
    many_values: bool = True


PAGING = frozenset(
    (
        "limit",
        "marker",
        "sort_key",
        "sort_dir",
        "sort",
        "page_reverse",
        "fields",
        "offset",
        "all_tenants",
        "all_projects",
    )
)


class Page(NamedTuple):
    rows: list[Row[Any]]
    more: bool


def parse_limit(query: Mapping[str, list[str]], style: Style) -> int | None:
    """Rows a page may hold; None without bound. Raises BadRequest."""
    text = query.get("limit", [""])[-1]
    if not text:
        return style.default_limit
    if not text.isdigit():
        raise BadRequest(f"limit must be a whole number that is not negative, not {text!r}.", kind="InvalidInput")
    if int(text) == 0 and style.links == "neutron":
        return style.default_limit
    return min(int(text), style.max_limit)


def parse_sort(query: Mapping[str, list[str]], resource: type[Resource]) -> list[tuple[str, str]]:
    """(field name, asc or desc) pairs. Raises BadRequest for a field one cannot sort by."""
    pairs: list[tuple[str, str]] = []
    for text in query.get("sort", []):
        for part in text.split(","):
            key, _, direction = part.strip().partition(":")
            pairs.append((key, direction or ("desc" if resource.default_sort else "asc")))
    keys = [key for text in query.get("sort_key", []) for key in text.split(",")]
    directions = query.get("sort_dir", [])
    for position, key in enumerate(keys):
        direction = directions[position] if position < len(directions) else (directions[-1] if directions else "")
        pairs.append((key, direction or ("desc" if resource.default_sort else "asc")))
    known = {field.wire: field.name for field in resource.fields.values() if "s" in field.on}
    sort: list[tuple[str, str]] = []
    for key, direction in pairs:
        if key not in known or direction.lower() not in ("asc", "desc"):
            raise BadRequest(
                f"Cannot sort by {key!r} {direction!r}. Sort by one of: {', '.join(sorted(known))}; asc or desc.",
                kind="InvalidInput",
            )
        sort.append((known[key], direction.lower()))
    return sort or list(resource.default_sort)


def column_of(resource: type[Resource], field: Field) -> ColumnElement[Any] | None:
    if resource.row is None:
        return None
    name = field.source if isinstance(field.source, str) else field.name
    return table_of(resource.row).c.get(name)


def filter_conditions(resource: type[Resource], query: Mapping[str, list[str]], style: Style) -> list[Any]:
    """One condition per known filter; several values of one name mean any of them."""
    by_wire = {field.wire: field for field in resource.fields.values() if "f" in field.on}
    conditions: list[Any] = []
    for name, texts in query.items():
        field = by_wire.get(name)
        if field is None:
            if style.unknown == "refuse" and name not in PAGING:
                raise BadRequest(f"Unknown filter {name!r}. Known: {', '.join(sorted(by_wire))}.", kind="InvalidInput")
            continue
        column = column_of(resource, field)
        if column is None:
            continue
        try:
            values = [field.parse(text) if field.parse else text for text in texts]
        except ValueError:
            conditions.append(false())
            continue
        conditions.append(column == values[0] if len(values) == 1 else column.in_(values))
    return conditions


def fetch_page(call: Any, resource: type[Resource], statement: Select[Any], style: Style) -> Page:
    """Sort, page and run `statement` (a select of the resource's table).

    Paging goes by the marker's sort values, with the key as tie breaker, so pages neither repeat nor skip.
    """
    if resource.row is None:
        raise TypeError(f"{resource.__name__} has no model")
    table = table_of(resource.row)
    sort = parse_sort(call.query, resource)
    reverse = call.query.get("page_reverse", ["false"])[-1].lower() in ("true", "1")
    key = table.c[resource.key]
    columns: list[tuple[Any, bool]] = []
    for name, direction in sort:
        column = column_of(resource, resource.fields[name]) if name in resource.fields else table.c[name]
        if column is not None:
            columns.append((column, (direction == "desc") != reverse))
    if not any(column is key for column, _ in columns):
        columns.append((key, (columns[-1][1] if columns and resource.default_sort else reverse)))
    marker = call.query.get("marker", [""])[-1]
    if marker:
        statement = statement.where(_after(call, resource, columns, marker))
    limit = parse_limit(call.query, style)
    statement = statement.order_by(*(column.desc() if down else column.asc() for column, down in columns))
    if call.query.get("offset", [""])[-1].isdigit():
        statement = statement.offset(int(call.query["offset"][-1]))
    rows = call.tx.rows(statement.limit(limit + 1) if limit is not None else statement)
    more = limit is not None and len(rows) > limit
    rows = rows[:limit] if limit is not None else rows
    return Page(rows[::-1] if reverse else rows, more)


def _after(call: Any, resource: type[Resource], columns: list[tuple[Any, bool]], marker: str) -> ColumnElement[bool]:
    if resource.row is None:
        raise TypeError(f"{resource.__name__} has no model")
    table = table_of(resource.row)
    at = call.tx.first(select(table).where(table.c[resource.key] == marker))
    if at is None:
        raise BadRequest(
            f"marker [{marker}] not found: no {resource.what} has this id any more.", kind="MarkerNotFound"
        )
    branches: list[Any] = []
    equal: list[Any] = []
    for column, down in columns:
        value = at._mapping[column]
        if value is None:
            # None sorts first in SQLite; treat "after None" as "has a value"
            beyond: Any = column.is_not(None) if not down else false()
            same: Any = column.is_(None)
        else:
            beyond = or_(column < value, column.is_(None)) if down else column > value
            same = column == value
        branches.append(and_(*equal, beyond))
        equal.append(same)
    return or_(*branches)


def wrap(call: Any, resource: type[Resource], items: list[Any], page_ids: list[str], more: bool, style: Style) -> Any:
    """The list's JSON object with the service's links."""
    many = resource.many or "items"
    body: dict[str, Any] = {many: items}
    if style.links == "keystone":
        following = _with(call.url_without_query(), call.query, page_ids[-1]) if more and page_ids else None
        body["links"] = {"next": following, "self": call.url(), "previous": None}
        if more:
            body["truncated"] = True
    elif style.links == "glance":
        # relative to the catalog's URL, as clients put the two together
        path = call.path.removeprefix(call.service.root)
        body |= {"schema": f"/v2/schemas/{many}", "first": _with(path, call.query, None)}
        if more:
            body["next"] = _with(path, call.query, page_ids[-1])
    elif style.links == "neutron":
        links = _both_ways(call, len(items), page_ids, style)
        if links:
            body[f"{many}_links"] = links
    elif more and page_ids:
        body[f"{many}_links"] = [{"rel": "next", "href": _with(call.url_without_query(), call.query, page_ids[-1])}]
    return body


def _both_ways(call: Any, count: int, page_ids: list[str], style: Style) -> list[dict[str, str]]:
    """Links of the network API: on from a full page, and back from every page, whatever is there."""
    limit = parse_limit(call.query, style)
    if limit is None or "limit" not in call.query:
        return []
    reverse = call.query.get("page_reverse", ["false"])[-1].lower() in ("true", "1")
    query = {name: values for name, values in call.query.items() if name != "page_reverse"}
    url, first, last = call.url_without_query(), page_ids[0] if page_ids else None, page_ids[-1] if page_ids else None
    links = []
    if count >= limit or reverse:
        links.append({"rel": "next", "href": _with(url, query, last)})
    if count >= limit or not reverse:
        links.append({"rel": "previous", "href": _with(url, query, first, page_reverse="True")})
    return links


def _with(url: str, query: Mapping[str, list[str]], marker: str | None, **more: str) -> str:
    pairs = [(name, value) for name, values in query.items() if name not in ("marker", *more) for value in values]
    pairs += list(more.items())
    if marker is not None:
        pairs.append(("marker", marker))
    return f"{url}?{urlencode(pairs)}" if pairs else url


ScopeFunction = Callable[[Any, Select[Any], bool], Select[Any]]


def own_project(call: Any, statement: Select[Any], listing: bool) -> Select[Any]:
    """The default scope: the caller's project; administrators see all by id, and in lists as the style says."""
    resource = call.resource
    column = table_of(resource.row).c.get("project_id") if resource.row is not None else None
    if column is None:
        return statement
    if call.ctx.is_admin and (not listing or call.service.style.admin_all or call.wants_all_projects()):
        return statement
    return statement.where(column == call.ctx.project_id)
