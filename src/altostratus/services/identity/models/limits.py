# SPDX-License-Identifier: Apache-2.0
"""Unified limits: defaults per service and resource, and what single projects or domains have instead."""

from sqlalchemy import Index, func

from altostratus.kernel.db import Mapped, Model, mapped_column


class RegisteredLimit(Model):
    __tablename__ = "registered_limits"
    id: Mapped[str] = mapped_column(primary_key=True)
    service_id: Mapped[str]
    region_id: Mapped[str | None] = mapped_column(default=None)
    resource_name: Mapped[str]
    default_limit: Mapped[int]
    description: Mapped[str | None] = mapped_column(default=None)


Index(
    "uq_registered_limits",
    RegisteredLimit.service_id,
    func.coalesce(RegisteredLimit.region_id, ""),
    RegisteredLimit.resource_name,
    unique=True,
)


class Limit(Model):
    __tablename__ = "identity_limits"
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str | None] = mapped_column(default=None)
    domain_id: Mapped[str | None] = mapped_column(default=None)
    service_id: Mapped[str]
    region_id: Mapped[str | None] = mapped_column(default=None)
    resource_name: Mapped[str]
    resource_limit: Mapped[int]
    description: Mapped[str | None] = mapped_column(default=None)


Index(
    "uq_identity_limits",
    func.coalesce(Limit.project_id, ""),
    func.coalesce(Limit.domain_id, ""),
    Limit.service_id,
    func.coalesce(Limit.region_id, ""),
    Limit.resource_name,
    unique=True,
)
