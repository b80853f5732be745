# SPDX-License-Identifier: Apache-2.0
"""A toy service that uses every feature of the resource kernel."""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.db import Mapped, Model, mapped_column, table_of
from altostratus.kernel.errors import ApiError, Conflict
from altostratus.kernel.policy import ADMIN, MEMBER, READER
from altostratus.kernel.quota import Countable
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Bool, Choice, Computed, Id, Int, Text, Time
from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.operations import Action, Create, Delete, List, Op, Reply, Show, Update
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.versions import Microversions


class ToyRow(Model):
    __tablename__ = "toys"
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    name: Mapped[str]
    size: Mapped[int]
    kind: Mapped[str] = mapped_column(default="bear")
    soft: Mapped[bool] = mapped_column(default=True)
    secret: Mapped[str] = mapped_column(default="s")
    created_at: Mapped[str]
    updated_at: Mapped[str]


def create_toy(call: Call) -> Any:
    if call.body["name"] == "taken":
        raise Conflict("A toy named taken exists already. Choose another name.")
    call.cloud.quotas("toy").demand(call.tx, str(call.ctx.project_id), {"toys": 1})
    values = call.body | {"id": call.request_id[4:], "project_id": call.ctx.project_id}
    call.tx.insert(ToyRow, created_at=clock.now(), updated_at=clock.now(), **values)
    return call.tx.get(ToyRow, values["id"])


def squeeze(call: Call) -> Reply:
    return Reply(202, {"squeaks": call.body["times"], "name": call.row.name})


def toys_of(tx: Any, projects: Any) -> int:
    return len([row for row in tx.rows(table_of(ToyRow).select()) if row.project_id in projects])


class Toy(Resource, path="/toys", one="toy", many="toys"):
    """A toy."""

    row = ToyRow
    id = Id()
    name = Text(1, 20, "cufrs", required=True)
    size = Int(1, 100, "cfrs", default=10)
    kind = Choice("bear", "car", on="cr", since="1.2", default="bear")
    soft = Bool("cufr", default=True)
    secret = Text(0, 50, "cr", guard="cr", default="s")
    project_id = Id("rf")
    created_at = Time(form=clock.iso_z)
    shout = Computed(lambda attributes, call: attributes["name"].upper(), since="1.3")

    index = List("toy:index", READER)
    make = Create("toy:create", MEMBER, create_toy)
    show = Show("toy:show", READER)
    change = Update("toy:update", MEMBER)
    remove = Delete("toy:delete", MEMBER)
    squeeze = Action(
        "squeeze", "toy:squeeze", MEMBER, squeeze,
        body={
            "type": "object",
            "properties": {
                "squeeze": {"type": "object", "properties": {"times": {"type": "integer"}}, "required": ["times"]}
            },
            "required": ["squeeze"],
        },
    )  # fmt: skip
    census = Op("GET", "/census/all", "toy:census", ADMIN, lambda call: Reply(200, {"all": True}), own_row=False)
    broken = Op("GET", "/broken/now", None, READER, lambda call: 1 / 0, own_row=False)


def envelope(error: ApiError, call: Any) -> Any:
    return {"toyFault": {"code": error.status, "message": error.message}}


SERVICE = Service(
    type="toy",
    name="toybox",
    title="Toys",
    path="/toy/v1",
    root="/toy",
    resources=(Toy,),
    envelope=envelope,
    versions=Microversions("toy", "1.1", "1.5"),
    style=Style(links="nova", admin_all=False, max_limit=50),
    quotas=(Countable("toys", 3, toys_of),),
)
