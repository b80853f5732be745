# SPDX-License-Identifier: Apache-2.0
"""Containers that are copied to another one, and what is not copied yet."""

from sqlalchemy import BigInteger, Index

from altostratus.kernel.db import Mapped, Model, mapped_column


class ContainerSync(Model):
    """There for a container that is copied. `walked_to` is how far the first walk has come; None: it is over."""

    __tablename__ = "object_syncs"
    container_id: Mapped[str] = mapped_column(primary_key=True)
    walked_to: Mapped[str | None] = mapped_column(default="")


class SyncChange(Model):
    """Look at this object again: it changed, or is gone since `changed_us`. Not tried before `due_us`."""

    __tablename__ = "object_sync_changes"
    __table_args__ = (Index("ix_object_sync_changes_due", "container_id", "due_us"),)
    container_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    changed_us: Mapped[int] = mapped_column(BigInteger)
    due_us: Mapped[int] = mapped_column(BigInteger, default=0)
