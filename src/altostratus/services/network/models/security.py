# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules."""

from sqlalchemy import ForeignKey, Index, text

from altostratus.kernel.db import Mapped, Model, mapped_column
from altostratus.services.network.models.standard import Named, Standard


class SecurityGroup(Named, Model):
    """`is_default` marks the group that ports of the project get unless told otherwise: one a project."""

    __tablename__ = "security_groups"
    __table_args__ = (
        Index(
            "ux_security_groups_default",
            "project_id",
            unique=True,
            sqlite_where=text("is_default"),
            postgresql_where=text("is_default"),
        ),
    )
    stateful: Mapped[bool] = mapped_column(default=True)
    is_default: Mapped[bool] = mapped_column(default=False)


class SecurityGroupRule(Standard, Model):
    __tablename__ = "security_group_rules"
    security_group_id: Mapped[str] = mapped_column(ForeignKey("security_groups.id", ondelete="CASCADE"), index=True)
    direction: Mapped[str]
    ethertype: Mapped[str]
    protocol: Mapped[str | None]
    port_range_min: Mapped[int | None]
    port_range_max: Mapped[int | None]
    remote_ip_prefix: Mapped[str | None]
    remote_group_id: Mapped[str | None] = mapped_column(index=True)
