# SPDX-License-Identifier: Apache-2.0
"""`/flavors`: sizes of servers, access to private ones, and their extra specs."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ADMIN, ANY, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Bool, Computed, Field, Id, Int, parse_bool
from altostratus.kernel.resource.operations import Action, Create, Delete, List, Op, Reply, Show, Update
from altostratus.kernel.resource.standard import page_reply
from altostratus.services.compute.api.shared import NAME, at, closed, links, wrapped
from altostratus.services.compute.logic import flavors
from altostratus.services.compute.models.flavors import Flavor as FlavorRow
from altostratus.services.compute.models.flavors import FlavorAccess

_LARGEST = 0x7FFFFFFF
_SPECS = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9\-_:. ]{1,255}$": {"type": ["string", "number"], "maxLength": 255}},
    "additionalProperties": False,
}
_TENANT = closed({"tenant": {"type": "string", "minLength": 1, "maxLength": 255}}, "tenant")
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 65535}


def visible_flavors(call: Call, statement: Any, listing: bool) -> Any:
    """Everybody sees public flavors and private ones with access; administrators by id every one."""
    if not call.ctx.is_admin:
        return statement.where(flavors.visible(call.ctx))
    if not listing:
        return statement
    word = call.query.get("is_public", ["true"])[-1].lower()
    if word == "none":
        return statement
    try:
        return statement.where(table_of(FlavorRow).c.is_public.is_(bool(parse_bool(word))))
    except ValueError:
        raise BadRequest(f"Invalid is_public filter [{word}]. Use true, false or none.") from None


def list_flavors(call: Call) -> Reply:
    """Flavors the caller can use."""
    table = table_of(FlavorRow)
    statement = select(table)
    for name, column in (("minRam", table.c.ram), ("minDisk", table.c.disk)):
        if name in call.query:
            least = whole_number(call.query[name][-1])
            if least is None:
                raise BadRequest(f"Invalid {name} filter [{call.query[name][-1]}]. Use a whole number.")
            statement = statement.where(column >= least)
    page = call.list_rows(statement)
    return page_reply(call, page.rows, page.more)


def create_flavor(call: Call) -> Any:
    values = dict(call.body)
    flavorid = flavors.create_flavor(call.tx, values)
    return call.tx.get(FlavorRow, flavorid=flavorid)


def update_flavor(call: Call) -> Any:
    call.tx.update(FlavorRow, call.row.id, description=call.body["flavor"]["description"], updated_at=clock.now())
    return call.reload()


def delete_flavor(call: Call) -> None:
    call.tx.delete_where(FlavorAccess, table_of(FlavorAccess).c.flavorid == call.row.flavorid)
    call.tx.delete(FlavorRow, call.row.id)


def show_access(call: Call) -> Reply:
    if call.row.is_public:
        raise NotFound("Access list not available for public flavors.")
    return Reply(200, {"flavor_access": flavors.list_access(call.tx, call.row.flavorid)})


def add_access(call: Call) -> Reply:
    """The policy is asked first: who may not do it is told so for private flavors too."""
    row = call.get_visible(call.params["id"])
    flavors.add_access(call.tx, row, call.body["tenant"])
    return Reply(200, {"flavor_access": flavors.list_access(call.tx, row.flavorid)})


def remove_access(call: Call) -> Reply:
    row = call.get_visible(call.params["id"])
    flavors.remove_access(call.tx, row, call.body["tenant"])
    return Reply(200, {"flavor_access": flavors.list_access(call.tx, row.flavorid)})


def list_specs(call: Call) -> Reply:
    return Reply(200, {"extra_specs": call.row.extra_specs or {}})


def create_specs(call: Call) -> Reply:
    given = {name: str(value) for name, value in call.body["extra_specs"].items()}
    call.tx.update(FlavorRow, call.row.id, extra_specs=(call.row.extra_specs or {}) | given)
    return Reply(200, {"extra_specs": given})


def _get_spec(call: Call) -> str:
    key = call.params["key"]
    if key not in (call.row.extra_specs or {}):
        raise NotFound(f"Flavor {call.row.flavorid} has no extra specs with key {key}.")
    return key


def show_spec(call: Call) -> Reply:
    key = _get_spec(call)
    return Reply(200, {key: call.row.extra_specs[key]})


def update_spec(call: Call) -> Reply:
    key = call.params["key"]
    if set(call.body) != {key}:
        raise BadRequest("Request body and URI mismatch: the body must hold the key of the URL and no other.")
    changed = {key: str(call.body[key])}
    call.tx.update(FlavorRow, call.row.id, extra_specs=(call.row.extra_specs or {}) | changed)
    return Reply(200, changed)


def delete_spec(call: Call) -> None:
    key = _get_spec(call)
    left = {name: value for name, value in call.row.extra_specs.items() if name != key}
    call.tx.update(FlavorRow, call.row.id, extra_specs=left)


def _swap(flavor: Any, call: Call) -> Any:
    return flavor["swap"] or (0 if at(call, 75) else "")


class Flavor(Resource, path="/flavors", one="flavor", many="flavors"):
    """A size of servers: vCPUs, memory and disks."""

    row = FlavorRow
    key = "flavorid"
    scope = visible_flavors
    id = Field(
        {"type": ["string", "integer", "null"], "minLength": 1, "maxLength": 255, "pattern": r"^[^\p{C}]+$"},
        "crs",
        source="flavorid",
        doc="Given by the administrator, or made (`auto`).",
    )
    flavorid = Id("s")
    name = Field(NAME, "crs", required=True)
    ram = Int(1, _LARGEST, "crs", required=True, doc="Memory in MiB.")
    disk = Int(0, _LARGEST, "crs", required=True, doc="Root disk in GiB; 0: the size of the image.")
    swap = Int(0, _LARGEST, "crs", default=0, source=_swap, doc="Swap disk in MiB.")
    ephemeral = Int(0, _LARGEST, "cr", default=0, wire="OS-FLV-EXT-DATA:ephemeral", doc="Extra disk in GiB.")
    disabled = Bool("rs", wire="OS-FLV-DISABLED:disabled")
    vcpus = Int(1, _LARGEST, "crs", required=True)
    is_public = Bool("cr", default=True, wire="os-flavor-access:is_public")
    rxtx_factor = Field(
        {"type": ["number", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?$", "minimum": 0, "maximum": 3.40282e38},
        "crs",
        default=1.0,
        parse=float,
    )
    description = Field({"type": "string", "maxLength": 65535}, "cr", nullable=True, since="2.55", default=None)
    links = Computed(lambda flavor, call: links(call, "flavors", flavor["flavorid"]))
    extra_specs = Computed(lambda flavor, _call: flavor["extra_specs"] or {}, since="2.61")

    index = List(None, ANY, list_flavors, only=("id", "name", "links", "description"))
    detail = List(None, ANY, list_flavors, path="/detail")
    create = Create("os_compute_api:os-flavor-manage:create", ADMIN, create_flavor, status=200)
    show = Show(None, ANY)
    update = Update(
        "os_compute_api:os-flavor-manage:update", ADMIN, update_flavor, since="2.55",
        body=wrapped("flavor", closed({"description": _DESCRIPTION}, "description")),
    )  # fmt: skip
    delete = Delete("os_compute_api:os-flavor-manage:delete", ADMIN, delete_flavor, status=202)
    access = Op("GET", "/{id}/os-flavor-access", "os_compute_api:os-flavor-access", ADMIN, show_access)
    add = Action(
        "addTenantAccess", "os_compute_api:os-flavor-access:add_tenant_access", ADMIN, add_access, status=200,
        own_row=False, body=wrapped("addTenantAccess", _TENANT),
    )  # fmt: skip
    remove = Action(
        "removeTenantAccess", "os_compute_api:os-flavor-access:remove_tenant_access", ADMIN, remove_access, status=200,
        own_row=False, body=wrapped("removeTenantAccess", _TENANT),
    )  # fmt: skip
    specs = Op("GET", "/{id}/os-extra_specs", "os_compute_api:os-flavor-extra-specs:index", READER, list_specs)
    make_specs = Op(
        "POST", "/{id}/os-extra_specs", "os_compute_api:os-flavor-extra-specs:create", ADMIN, create_specs,
        body=wrapped("extra_specs", _SPECS),
    )  # fmt: skip
    spec = Op("GET", "/{id}/os-extra_specs/{key}", "os_compute_api:os-flavor-extra-specs:show", READER, show_spec)
    change_spec = Op(
        "PUT",
        "/{id}/os-extra_specs/{key}",
        "os_compute_api:os-flavor-extra-specs:update",
        ADMIN,
        update_spec,
        body=_SPECS,
    )
    remove_spec = Op(
        "DELETE", "/{id}/os-extra_specs/{key}", "os_compute_api:os-flavor-extra-specs:delete", ADMIN, delete_spec
    )
