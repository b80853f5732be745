# SPDX-License-Identifier: Apache-2.0
"""Transfers, messages to users, and services that administrators have switched off."""

from sqlalchemy import Index, Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class Transfer(Model):
    """A volume offered to whoever has the key; only a salted hash of the key is kept."""

    __tablename__ = "volume_transfers"
    id: Mapped[str] = mapped_column(primary_key=True)
    volume_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str | None]
    salt: Mapped[str]
    key_hash: Mapped[str]
    no_snapshots: Mapped[bool] = mapped_column(default=False)
    source_project_id: Mapped[str] = mapped_column(index=True)
    destination_project_id: Mapped[str | None]
    accepted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[str]


class Message(Model):
    """Why something went wrong, for the user who asked for it."""

    __tablename__ = "volume_messages"
    __table_args__ = (Index("ix_volume_messages_project", "project_id", "created_at"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    request_id: Mapped[str]
    resource_type: Mapped[str]
    resource_uuid: Mapped[str] = mapped_column(index=True)
    event_id: Mapped[str]
    user_message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str]
    guaranteed_until: Mapped[str]


class ServiceState(Model):
    """A service (`cinder-volume` on `host@backend`) that was disabled or frozen; no row: neither."""

    __tablename__ = "volume_service_states"
    binary: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None]
    frozen: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[str]
