# SPDX-License-Identifier: Apache-2.0
"""Rules about flavors: who sees which, what a new one may be."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel import clock, ids
from altostratus.kernel.auth import Context
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.services.compute.models.flavors import Flavor, FlavorAccess

# name, id, vcpus, ram in MiB, disk in GiB
DEFAULT_FLAVORS = (
    ("m1.mini", "0", 1, 128, 1),
    ("m1.tiny", "1", 1, 512, 1),
    ("m1.small", "2", 1, 2048, 20),
    ("m1.medium", "3", 2, 4096, 40),
    ("m1.large", "4", 4, 8192, 80),
    ("m1.xlarge", "5", 8, 16384, 160),
)


def seed_flavors(tx: Tx, _cloud: Any) -> None:
    """The default flavors, if there is no flavor at all."""
    if tx.scalar(select(table_of(Flavor).c.id).limit(1)) is not None:
        return
    moment = clock.now()
    for name, flavorid, vcpus, ram, disk in DEFAULT_FLAVORS:
        tx.insert(Flavor, flavorid=flavorid, name=name, vcpus=vcpus, ram=ram, disk=disk, created_at=moment)


def visible(ctx: Context) -> Any:
    """Condition: public, or private with access for the caller's project."""
    flavor, access = table_of(Flavor).c, table_of(FlavorAccess).c
    allowed = select(access.flavorid).where(access.project_id == ctx.project_id)
    return or_(flavor.is_public.is_(True), flavor.flavorid.in_(allowed))


def get_flavor(tx: Tx, ctx: Context, flavorid: str) -> Row[Any]:
    """A flavor that the caller may use. Raises BadRequest."""
    table = table_of(Flavor)
    statement = select(table).where(table.c.flavorid == flavorid)
    if not ctx.is_admin:
        statement = statement.where(visible(ctx))
    row = tx.first(statement)
    if row is None:
        raise BadRequest(f"Flavor {flavorid} could not be found. List the ones you can use with: flavor list.")
    return row


def create_flavor(tx: Tx, values: dict[str, Any]) -> str:
    """Insert one; returns its API id. Raises Conflict for a name or id in use, BadRequest for a bad id."""
    flavorid = str(values.pop("id", None) or "auto")
    if flavorid == "auto":
        flavorid = ids.new_id()
    if flavorid != flavorid.strip():
        raise BadRequest("The flavor's id must not begin or end with white space.")
    table = table_of(Flavor)
    for column, text, word in ((table.c.name, values["name"], "name"), (table.c.flavorid, flavorid, "ID")):
        if tx.scalar(select(table.c.id).where(column == text)) is not None:
            raise Conflict(f"Flavor with {word} {text} already exists.")
    tx.insert(Flavor, flavorid=flavorid, created_at=clock.now(), **values)
    return flavorid


def list_access(tx: Tx, flavorid: str) -> list[dict[str, str]]:
    access = table_of(FlavorAccess).c
    found = tx.scalars(select(access.project_id).where(access.flavorid == flavorid).order_by(access.project_id))
    return [{"flavor_id": flavorid, "tenant_id": project_id} for project_id in found]


def add_access(tx: Tx, flavor: Row[Any], project_id: str) -> None:
    if flavor.is_public:
        raise Conflict("Can not add access to a public flavor.")
    if tx.find(FlavorAccess, flavor.flavorid, project_id) is not None:
        raise Conflict(
            f"Flavor access already exists for flavor {flavor.flavorid} and project {project_id} combination."
        )
    tx.insert(FlavorAccess, flavorid=flavor.flavorid, project_id=project_id)


def remove_access(tx: Tx, flavor: Row[Any], project_id: str) -> None:
    if tx.delete(FlavorAccess, flavor.flavorid, project_id) == 0:
        raise NotFound(f"Flavor access not found for {flavor.flavorid} / {project_id} combination.")


def snapshot_of(flavor: Row[Any]) -> dict[str, Any]:
    """The flavor as servers remember it."""
    return {
        "id": flavor.flavorid,
        "original_name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "extra_specs": flavor.extra_specs or {},
    }
