# SPDX-License-Identifier: Apache-2.0
"""What all resources of this API have alike: standard attributes, lists, bulk creation and tags."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Text as SqlText
from sqlalchemy import func, not_, or_, select, type_coerce

from altostratus.kernel import clock
from altostratus.kernel.db import Model, Row, table_of
from altostratus.kernel.errors import BadRequest, NotFound, PreconditionFailed
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Id, Int, ListOf, Text, Time
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.kernel.resource.standard import page_reply
from altostratus.services.network.errors import invalid, missing
from altostratus.services.network.logic import rows

CreateOne = Callable[[Call, dict[str, Any]], Any]
TAG_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 255}
_IF_MATCH = re.compile(r"revision_number=(-?\d+)")


class Standard(Resource):
    """Standard attributes, as upstream names them."""

    id = Id("rfs")
    tenant_id = Text(0, 255, "crfs", source="project_id")
    project_id = Text(0, 255, "crfs")
    description = Text(0, 255, "crufs", default="")
    revision_number = Int(None, None, "rfs")
    created_at = Time("rs", form=clock.iso_z)
    updated_at = Time("rs", form=clock.iso_z)


class Named(Standard):
    """Standard attributes of what people name and tag."""

    name = Text(0, 255, "crufs", default="")
    tags = ListOf(TAG_SCHEMA, "r")


def owner_of(call: Call, body: dict[str, Any]) -> str:
    """Takes the owning project out of a create's body; only administrators may name another."""
    names = [body.pop(name) for name in ("project_id", "tenant_id") if name in body]
    own = call.ctx.project_id or ""
    if len(set(names)) > 1:
        raise invalid("'project_id' and 'tenant_id' do not match.", "HTTPBadRequest")
    project_id = str(names[0]) if names else own
    if project_id != own and not (call.ctx.is_admin or call.ctx.is_service):
        raise invalid(
            "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin "
            "privileges",
            "HTTPBadRequest",
        )
    return project_id


def creating(create_one: CreateOne) -> Callable[[Call], Any]:
    """A handler that makes one, or all of a bulk request or none."""

    def create(call: Call) -> Any:
        if not isinstance(call.body, list):
            return create_one(call, call.body)
        made = [create_one(call, body) for body in call.body]
        return Reply(201, {call.resource.many: call.render(made)})

    create.__doc__ = create_one.__doc__
    return create


def check_revision(call: Call) -> None:
    """`If-Match: revision_number=N` refuses to change what has changed meanwhile (412)."""
    given = call.headers.get("IF-MATCH")
    if given is None:
        return
    found = _IF_MATCH.fullmatch(given.strip())
    if found is None:
        raise BadRequest(f"If-Match must be revision_number=<number>, not {given!r}.", kind="HTTPBadRequest")
    if int(found[1]) != call.row.revision_number:
        raise PreconditionFailed(
            f"Constrained to {found[1]}, but current revision is {call.row.revision_number}.",
            kind="RevisionNumberConstraintFailed",
        )


# --- showing ---------------------------------------------------------------------------------------------


def show(call: Call) -> Any:
    """The resource; `fields` chooses members."""
    shown = call.render([call.row], only=tuple(call.query.get("fields", ())))[0]
    return Reply(200, {call.resource.one: shown})


def listing(call: Call, statement: Any = None) -> Any:
    """The resources that the caller can see, with filters, sorting and paging."""
    page = call.list_rows(filtered(call) if statement is None else statement)
    return page_reply(call, page.rows, page.more)


def filtered(call: Call, *columns: Any) -> Any:
    """A select of the resource's table with the filters that all resources have: tags, changed_since."""
    if call.resource.row is None:
        raise TypeError(f"{call.resource.__name__} has no model")
    table = table_of(call.resource.row)
    statement = select(*columns) if columns else select(table)
    if "tags" in table.c:
        statement = _by_tags(call, statement, table.c.tags)
    for text in call.query.get("changed_since", ()):
        try:
            moment = clock.to_timestamp(clock.parse(text))
        except ValueError:
            raise invalid(f"Invalid input for changed_since. Reason: '{text}' is not a time.") from None
        statement = statement.where(table.c.updated_at >= moment)
    return statement


def json_holds(column: Any, value: Any) -> Any:
    """Condition: the JSON text of a list column holds this value (portable, and upper case matters)."""
    text = type_coerce(column, SqlText)
    return func.replace(text, msgspec.json.encode(value).decode(), "") != text


def _by_tags(call: Call, statement: Any, column: Any) -> Any:
    def wanted(name: str) -> list[str]:
        return [tag for text in call.query.get(name, ()) for tag in text.split(",") if tag]

    for tag in wanted("tags"):
        statement = statement.where(json_holds(column, tag))
    if not_all := wanted("not-tags"):
        statement = statement.where(or_(*(not_(json_holds(column, tag)) for tag in not_all)))
    if any_of := wanted("tags-any"):
        statement = statement.where(or_(*(json_holds(column, tag) for tag in any_of)))
    if none_of := wanted("not-tags-any"):
        statement = statement.where(not_(or_(*(json_holds(column, tag) for tag in none_of))))
    return statement


# --- tags ------------------------------------------------------------------------------------------------


def _write_tags(call: Call, tags: list[str]) -> None:
    if call.resource.row is None:
        raise TypeError(f"{call.resource.__name__} has no model")
    rows.change(call.tx, call.resource.row, call.row.id, tags=tags)


def _list_tags(call: Call) -> Any:
    """The tags of a resource."""
    return Reply(200, {"tags": call.row.tags})


def _replace_tags(call: Call) -> Any:
    """Replace all tags of a resource."""
    tags = list(dict.fromkeys(call.body["tags"]))
    _write_tags(call, tags)
    return Reply(200, {"tags": tags})


def _clear_tags(call: Call) -> Any:
    """Remove all tags of a resource."""
    _write_tags(call, [])
    return Reply(204)


def _check_tag(call: Call) -> Any:
    """Whether a resource has a tag."""
    _demand_tag(call)
    return Reply(204)


def _add_tag(call: Call) -> Any:
    """Add one tag."""
    tag = call.params["tag"]
    if len(tag) > 255:
        raise invalid(f"Invalid input for tag. Reason: it has {len(tag)} characters, the most is 255.")
    if tag not in call.row.tags:
        _write_tags(call, [*call.row.tags, tag])
    return Reply(201)


def _remove_tag(call: Call) -> Any:
    """Remove one tag."""
    tag = _demand_tag(call)
    _write_tags(call, [one for one in call.row.tags if one != tag])
    return Reply(204)


def _demand_tag(call: Call) -> str:
    tag = call.params["tag"]
    if tag not in call.row.tags:
        raise NotFound(f"Tag {tag} could not be found.", kind="TagNotFound")
    return tag


def tag_operations(
    one: str, reader: Persona, member: Persona, target: Callable[[Call], Any] | None = None
) -> tuple[Op, ...]:
    """The six operations on `/tags` of a resource, in the order list, replace, clear, check, add, remove."""
    body = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": TAG_SCHEMA, "maxItems": 50}},
        "required": ["tags"],
        "additionalProperties": False,
    }
    read, write, delete = f"get_{one}:tags", f"update_{one}:tags", f"delete_{one}:tags"
    return (
        Op("GET", "/{id}/tags", read, reader, _list_tags, target=target),
        Op("PUT", "/{id}/tags", write, member, _replace_tags, body=body, target=target),
        Op("DELETE", "/{id}/tags", delete, member, _clear_tags, target=target),
        Op("GET", "/{id}/tags/{tag}", read, reader, _check_tag, target=target),
        Op("PUT", "/{id}/tags/{tag}", write, member, _add_tag, target=target),
        Op("DELETE", "/{id}/tags/{tag}", delete, member, _remove_tag, target=target),
    )


def own_rows(call: Call, statement: Any, model: type[Model]) -> Any:
    """Only rows of the caller's project; administrators see all."""
    if call.ctx.is_admin:
        return statement
    return statement.where(table_of(model).c.project_id == call.ctx.project_id)


def visible_row(call: Call, resource: type[Resource], id: str) -> Row[Any]:
    """A row of another resource, if the caller can see it; 404 like that resource's own."""
    if resource.row is None or resource.scope is None:
        raise TypeError(f"{resource.__name__} cannot be looked up")
    table = table_of(resource.row)
    row = call.tx.first(resource.scope(call, select(table).where(table.c.id == id), False))
    if row is None:
        raise missing(resource.what, id)
    return row
