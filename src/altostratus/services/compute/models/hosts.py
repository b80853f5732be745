# SPDX-License-Identifier: Apache-2.0
"""What compute keeps about hosts, aggregates, server groups and consoles.

That a host exists and what it offers is known from its agent (the kernel's hosts); only what people
decide about it is stored here.
"""

from typing import Any

from sqlalchemy import Index, Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class ComputeService(Model):
    """The compute service of a host: whether new servers may go there."""

    __tablename__ = "compute_services"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    host: Mapped[str] = mapped_column(unique=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None]
    forced_down: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[str]
    updated_at: Mapped[str]


class Aggregate(Model):
    """A group of hosts with properties; `metadata["availability_zone"]` makes it a zone."""

    __tablename__ = "aggregates"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[str]
    updated_at: Mapped[str | None]


class AggregateHost(Model):
    __tablename__ = "aggregate_hosts"
    aggregate_id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)


class ServerGroup(Model):
    """Servers that must, or must not, share a host. Members are the servers that name it."""

    __tablename__ = "server_groups"
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    name: Mapped[str]
    policy: Mapped[str]
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[str]


class ConsoleToken(Model):
    """A way into one server's console for a short time; only the hash of the token is kept."""

    __tablename__ = "console_tokens"
    __table_args__ = (Index("ix_console_tokens_expires", "expires_at"),)
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    server_id: Mapped[str]
    host: Mapped[str]
    console_type: Mapped[str]
    access_url: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[str]
