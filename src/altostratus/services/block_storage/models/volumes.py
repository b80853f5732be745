# SPDX-License-Identifier: Apache-2.0
"""Volumes, snapshots, attachments."""

from typing import Any

from sqlalchemy import Index, Text

from altostratus.kernel.db import Json, Mapped, Model, mapped_column


class Volume(Model):
    """A disk.

    host        `<host>@<backend>#<pool>` once placed; None before, and for volumes that fit nowhere
    spec        the wanted `VolumeSpec` as it was written last, without exports
    new_size    what an extension under way makes of `size`; counts for quotas meanwhile
    path        where the host has the data, as observed
    reason      why status is an error, for people
    etag        changes with everything the API shows of the volume, attachments included
    """

    __tablename__ = "volumes"
    __table_args__ = (
        Index("ix_volumes_project", "project_id", "created_at"),
        Index("ix_volumes_type", "volume_type_id"),
        Index("ix_volumes_group", "group_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    name: Mapped[str | None]
    description: Mapped[str | None]
    size: Mapped[int]
    new_size: Mapped[int | None]
    status: Mapped[str]
    previous_status: Mapped[str | None]
    attach_status: Mapped[str] = mapped_column(default="detached")
    migration_status: Mapped[str | None]
    bootable: Mapped[bool] = mapped_column(default=False)
    multiattach: Mapped[bool] = mapped_column(default=False)
    readonly: Mapped[bool | None]
    volume_type_id: Mapped[str | None]
    availability_zone: Mapped[str]
    host: Mapped[str | None]
    snapshot_id: Mapped[str | None]
    source_volid: Mapped[str | None]
    image_id: Mapped[str | None]
    group_id: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", Json)
    image_metadata: Mapped[dict[str, Any]]
    spec: Mapped[Any | None] = mapped_column(Json)
    path: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(Text)
    etag: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str | None]


class Snapshot(Model):
    """The content of a volume at one moment; `host` is where its volume was then."""

    __tablename__ = "volume_snapshots"
    __table_args__ = (
        Index("ix_volume_snapshots_project", "project_id", "created_at"),
        Index("ix_volume_snapshots_volume", "volume_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    volume_id: Mapped[str]
    name: Mapped[str | None]
    description: Mapped[str | None]
    size: Mapped[int]
    status: Mapped[str]
    progress: Mapped[str] = mapped_column(default="0%")
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", Json)
    volume_type_id: Mapped[str | None]
    group_snapshot_id: Mapped[str | None]
    host: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[str]
    updated_at: Mapped[str | None]


class Attachment(Model):
    """A volume given to a server: status reserved, attaching, attached, detaching."""

    __tablename__ = "volume_attachments"
    __table_args__ = (
        Index("ix_volume_attachments_volume", "volume_id"),
        Index("ix_volume_attachments_server", "server_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    volume_id: Mapped[str]
    project_id: Mapped[str]
    server_id: Mapped[str | None]
    host: Mapped[str | None]
    mountpoint: Mapped[str | None]
    mode: Mapped[str | None]
    status: Mapped[str]
    connector: Mapped[dict[str, Any]]
    connection_info: Mapped[dict[str, Any]]
    created_at: Mapped[str]
    attached_at: Mapped[str | None]
