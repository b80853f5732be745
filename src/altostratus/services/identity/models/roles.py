# SPDX-License-Identifier: Apache-2.0
"""Roles, what they imply, and who has them where."""

from typing import Any

from sqlalchemy import Index, func

from altostratus.kernel.db import Mapped, Model, mapped_column


class Role(Model):
    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str | None] = mapped_column(default=None)
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(default=None)
    options: Mapped[dict[str, Any]]
    extra: Mapped[dict[str, Any]]


Index("uq_roles_name", func.coalesce(Role.domain_id, ""), Role.name, unique=True)


class ImpliedRole(Model):
    """Who has the prior role has the implied one."""

    __tablename__ = "implied_roles"
    prior_role_id: Mapped[str] = mapped_column(primary_key=True)
    implied_role_id: Mapped[str] = mapped_column(primary_key=True)


class RoleAssignment(Model):
    """actor_kind: user or group. target_kind: project, domain or system (target_id `all`).

    An inherited assignment counts for the projects below its target, not for the target itself.
    """

    __tablename__ = "role_assignments"
    __table_args__ = (Index("ix_role_assignments_target", "target_kind", "target_id"),)
    actor_kind: Mapped[str] = mapped_column(primary_key=True)
    actor_id: Mapped[str] = mapped_column(primary_key=True)
    target_kind: Mapped[str] = mapped_column(primary_key=True)
    target_id: Mapped[str] = mapped_column(primary_key=True)
    role_id: Mapped[str] = mapped_column(primary_key=True)
    inherited: Mapped[bool] = mapped_column(primary_key=True)
