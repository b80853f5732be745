# SPDX-License-Identifier: Apache-2.0
"""The kernel's own create, list, show, update and delete, for operations without a handler."""

from typing import Any

from altostratus.kernel import clock, ids
from altostratus.kernel.db import table_of
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply


def handler_of(op: Op) -> Any:
    """The operation's handler, or the kernel's for its kind. Raises TypeError if there is none."""
    if op.handler is not None:
        return op.handler
    known = {"create": create, "list": list_, "show": show, "update": update, "delete": delete}
    if op.kind not in known or op.resource.row is None:
        raise TypeError(f"{op.describe()} needs a handler")
    return known[op.kind]


def create(call: Call) -> Any:
    """Insert one row: id, owner and times are set where the table has such columns."""
    resource = call.resource
    if resource.row is None:
        raise TypeError("no model")
    columns = table_of(resource.row).c
    values = {name: value for name, value in call.body.items() if name in columns}
    if resource.key == "id":
        values.setdefault("id", ids.new_id())
    moment = clock.now()
    defaults = {
        "project_id": call.ctx.project_id,
        "user_id": call.ctx.user_id,
        "created_at": moment,
        "updated_at": moment,
    }
    for name, value in defaults.items():
        if name in columns:
            values.setdefault(name, value)
    call.tx.insert(resource.row, **values)
    return call.tx.get(resource.row, values[resource.key])


def list_(call: Call) -> Any:
    page = call.list_rows()
    return page_reply(call, page.rows, page.more)


def page_reply(call: Call, rows: list[Any], more: bool) -> Reply:
    """A list's answer: the rendered rows in the service's envelope, with links."""
    items = call.render(rows, only=_wanted_fields(call))
    ids_ = [
        str(row["id"] if isinstance(row, dict) else row._mapping[call.resource.key]) for row in (rows[:1] + rows[-1:])
    ]
    return Reply(call.op.status, lists.wrap(call, call.resource, items, ids_, more, call.service.style))


def _wanted_fields(call: Call) -> tuple[str, ...]:
    if call.op.only:
        return call.op.only
    if call.service.style.links == "neutron" and "fields" in call.query:
        return tuple(call.query["fields"])
    return ()


def show(call: Call) -> Any:
    return call.row


def update(call: Call) -> Any:
    resource = call.resource
    if resource.row is None:
        raise TypeError("no model")
    columns = table_of(resource.row).c
    values = {name: value for name, value in call.body.items() if name in columns}
    if "updated_at" in columns:
        values["updated_at"] = clock.now()
    if values:
        call.tx.update(resource.row, call.row._mapping[resource.key], **values)
    return call.reload()


def delete(call: Call) -> None:
    if call.resource.row is None:
        raise TypeError("no model")
    call.tx.delete(call.resource.row, call.row._mapping[call.resource.key])
