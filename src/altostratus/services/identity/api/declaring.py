# SPDX-License-Identifier: Apache-2.0
"""What identity's declarations share: kinds of fields, lists with upstream's filters, extra members."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import FALSE_WORDS, Computed, Field, Text
from altostratus.kernel.resource.operations import Create, Reply
from altostratus.kernel.resource.standard import page_reply

_LARGEST_EXTRA_BYTES = 65_536
_GIVEN_BY_US = frozenset({"id", "links", "password_expires_at", "extra"})
_TEXT_SEARCHES: dict[str, Callable[[Any, str], ColumnElement[bool]]] = {
    "contains": lambda column, text: column.contains(text, autoescape=True),
    "startswith": lambda column, text: column.startswith(text, autoescape=True),
    "endswith": lambda column, text: column.endswith(text, autoescape=True),
    "icontains": lambda column, text: column.icontains(text, autoescape=True),
    "istartswith": lambda column, text: column.istartswith(text, autoescape=True),
    "iendswith": lambda column, text: column.iendswith(text, autoescape=True),
}


class IdentityResource(Resource):
    """Everything is visible by id to whom the policy lets through; unknown members are kept."""

    unknown: ClassVar[Literal["refuse", "ignore", "keep"]] = "keep"
    scope: ClassVar[Any] = lambda call, statement, listing: statement


class CreateAt(Create):
    """`PUT <path>/{id}`: the client chooses the id."""

    def __init__(self, rule: str, persona: Persona, handler: Any) -> None:
        super().__init__(rule, persona, handler, path="/{id}", own_row=False)
        self.method = "PUT"


def Name(on: str = "crufs", *, longest: int = 255, **options: Any) -> Field:  # noqa: N802
    """1 to `longest` characters, not only blanks."""
    return Text(1, longest, on, pattern=r"\S", **options)


def Flag(on: str, **options: Any) -> Field:  # noqa: N802
    """A JSON boolean; in a query anything but 0, false, no ... means true, as upstream reads it."""

    def parse(value: Any) -> bool:
        return value if isinstance(value, bool) else str(value).lower() not in FALSE_WORDS

    return Field({"type": "boolean"}, on, **{"parse": parse, **options})


def Description(on: str = "cru", **options: Any) -> Field:  # noqa: N802
    return Text(0, 65_535, on, nullable=True, **options)


def Options(**known: dict[str, Any]) -> Field:  # noqa: N802
    """Resource options; null takes one away."""
    schema = {"type": "object", "properties": known, "additionalProperties": False}
    return Field(schema, "cru", default=dict)


def Links(path: str) -> Field:  # noqa: N802
    """`links`, with the address of the item below `path`."""
    return Computed(lambda item, call: {"self": call.service_url(f"{path}/{item['id']}")})


ON_OR_UNSET: dict[str, Any] = {"type": ["boolean", "null"]}


def extra_members(call: Call) -> dict[str, Any]:
    """Unknown members worth keeping. Raises BadRequest for another id in an update, or for too many bytes."""
    given = call.extra
    if call.op.kind == "update" and given.get("id", call.params.get("id")) != call.params.get("id"):
        raise BadRequest("Cannot change ID. Leave it out, or give the one in the path.")
    kept = {name: value for name, value in given.items() if name not in _GIVEN_BY_US}
    if len(msgspec.json.encode(kept)) > _LARGEST_EXTRA_BYTES:
        raise BadRequest(f"Additional members take more than {_LARGEST_EXTRA_BYTES} bytes; keep them elsewhere.")
    return kept


def merged_options(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (before | given).items() if value is not None}


def list_reply(call: Call, statement: Select[Any] | None = None, *, confined_by: str | None = "domain_id") -> Reply:
    """A list with upstream's exact and textual filters (`name__contains=`).

    A token scoped to a domain sees that domain's items only; `confined_by` names their column, or None.
    """
    if call.resource.row is None:
        raise TypeError(f"{call.resource.__name__} has no model")
    table = table_of(call.resource.row)
    chosen = select(table) if statement is None else statement
    if confined_by is not None and call.ctx.domain_id is not None:
        chosen = chosen.where(table.c[confined_by] == call.ctx.domain_id)
    conditions = _text_conditions(call)
    page = call.list_rows(chosen.where(*conditions) if conditions else chosen)
    return page_reply(call, page.rows, page.more)


def _text_conditions(call: Call) -> list[ColumnElement[bool]]:
    filterable = {field.wire: field for field in call.resource.fields.values() if "f" in field.on}
    found: list[ColumnElement[bool]] = []
    for name, texts in call.query.items():
        base, _, search = name.partition("__")
        if base in filterable and search in _TEXT_SEARCHES:
            column = lists.column_of(call.resource, filterable[base])
            if column is not None:
                found += [_TEXT_SEARCHES[search](column, text) for text in texts]
    return found


def future(text: str | None) -> str | None:
    """The time that somebody gives for the end of something. Raises BadRequest."""
    if text is None:
        return None
    try:
        moment = clock.to_timestamp(clock.parse(text))
    except ValueError:
        raise BadRequest(f"expires_at is not a time: {text!r}. Write 2026-01-31T12:00:00Z.") from None
    if moment <= clock.now():
        raise BadRequest("The 'expires_at' must not be before now.")
    return moment


def is_asked(call: Call, name: str) -> bool:
    """Is a flag in the query? `?effective` and `?effective=1` say yes, `?effective=0` no."""
    return name in call.query and call.query[name][-1] != "0"


def simple_list(call: Call, many: str, items: list[Any]) -> Reply:
    """A whole list that is not one page of rows."""
    return Reply(200, {many: items, "links": {"next": None, "self": call.url(), "previous": None}})
