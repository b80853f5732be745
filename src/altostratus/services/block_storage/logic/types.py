# SPDX-License-Identifier: Apache-2.0
"""Volume types: which one is meant, who may use it."""

from typing import Any

from sqlalchemy import ColumnElement, or_, select

from altostratus.kernel import clock, ids
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.models.types import DefaultType, VolumeType, VolumeTypeProject
from altostratus.services.block_storage.models.volumes import Snapshot, Volume

# what everybody may know of a type; the rest is the administrators'
USER_VISIBLE_SPECS = ("RESKEY:availability_zones", "multiattach", "replication_enabled")


def usable_by(project_id: str | None) -> ColumnElement[bool]:
    """Condition: the type is public, or the project was given it."""
    kind, access = table_of(VolumeType).c, table_of(VolumeTypeProject).c
    given = select(access.volume_type_id).where(access.project_id == project_id)
    return or_(kind.is_public, kind.id.in_(given))


def get_type(tx: Tx, name_or_id: str, ctx: Context | None = None) -> Row[Any]:
    """By id, else by name. With `ctx`: only those the caller may use. Raises NotFound."""
    table = table_of(VolumeType)
    statement = select(table).where(or_(table.c.id == name_or_id, table.c.name == name_or_id))
    if ctx is not None and not ctx.is_admin:
        statement = statement.where(usable_by(ctx.project_id))
    found = tx.rows(statement)
    if not found:
        raise NotFound(f"Volume type with name or id {name_or_id} could not be found.")
    return next((row for row in found if row.id == name_or_id), found[0])


def default_type(tx: Tx, cloud: Cloud, project_id: str | None) -> Row[Any]:
    """The project's own default, else the configured one. Raises NotFound."""
    own = tx.find(DefaultType, project_id) if project_id else None
    if own is not None:
        row = tx.find(VolumeType, own.volume_type_id)
        if row is not None:
            return row
    name = cloud[BlockStorageOptions].default_type
    row = tx.find(VolumeType, name=name)
    if row is None:
        raise NotFound(
            f"Default volume type {name} could not be found. Make it, or name another in [block_storage] default_type."
        )
    return row


def ensure_default_type(tx: Tx, cloud: Cloud) -> None:
    """The configured default exists."""
    name = cloud[BlockStorageOptions].default_type
    if tx.find(VolumeType, name=name) is None:
        create_type(tx, name, description="Default Volume Type")


def create_type(
    tx: Tx, name: str, *, description: str | None = None, specs: dict[str, str] | None = None, is_public: bool = True
) -> Row[Any]:
    """Raises Conflict if the name is taken."""
    if tx.find(VolumeType, name=name) is not None:
        raise Conflict(f"Volume Type {name} already exists.")
    type_id = ids.new_id()
    tx.insert(
        VolumeType, id=type_id, name=name, description=description, is_public=is_public, extra_specs=specs or {},
        created_at=clock.now(),
    )  # fmt: skip
    return tx.get(VolumeType, type_id)


def demand_unused(tx: Tx, type_id: str, words: str) -> None:
    """Raises BadRequest while volumes or snapshots are of this type."""
    for model in (Volume, Snapshot):
        table = table_of(model).c
        if tx.first(select(table.id).where(table.volume_type_id == type_id).limit(1)) is not None:
            raise BadRequest(words)


def wants_multiattach(row: Row[Any]) -> bool:
    return str(row.extra_specs.get("multiattach", "")).replace(" ", "").lower() == "<is>true"
