# SPDX-License-Identifier: Apache-2.0
"""The service catalog."""

from typing import Any

from sqlalchemy import Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class Region(Model):
    __tablename__ = "regions"
    id: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    parent_region_id: Mapped[str | None] = mapped_column(default=None)
    extra: Mapped[dict[str, Any]]


class CatalogService(Model):
    __tablename__ = "identity_services"
    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(default=None)
    enabled: Mapped[bool]
    extra: Mapped[dict[str, Any]]


class Endpoint(Model):
    """interface: public, internal or admin. `url` may hold `$(project_id)s` and the like."""

    __tablename__ = "endpoints"
    id: Mapped[str] = mapped_column(primary_key=True)
    service_id: Mapped[str] = mapped_column(index=True)
    region_id: Mapped[str | None] = mapped_column(default=None)
    interface: Mapped[str]
    url: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool]
    extra: Mapped[dict[str, Any]]


class PolicyDocument(Model):
    """A policy file that somebody keeps here for a service; nothing in the cloud reads it."""

    __tablename__ = "policies"
    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    blob: Mapped[str] = mapped_column(Text)
    extra: Mapped[dict[str, Any]]
