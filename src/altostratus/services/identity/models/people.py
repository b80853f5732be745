# SPDX-License-Identifier: Apache-2.0
"""Users, groups, and who is in which group."""

from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint

from altostratus.kernel.db import Mapped, Model, mapped_column


class User(Model):
    """A user. Tokens issued at or before `tokens_from` are void (password changed, user disabled).

    `failed_auth_count` is the number of wrong secrets in a row, the last of them at `failed_auth_at`;
    `last_active_on` the day (YYYY-MM-DD) of the last login; `password_by_self` says who chose the password.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("domain_id", "name", name="uq_users_name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str]
    name: Mapped[str]
    enabled: Mapped[bool]
    description: Mapped[str | None] = mapped_column(default=None)
    default_project_id: Mapped[str | None] = mapped_column(default=None)
    password_hash: Mapped[str | None] = mapped_column(default=None)
    password_expires_at: Mapped[str | None] = mapped_column(default=None)
    password_created_at: Mapped[str | None] = mapped_column(default=None)
    password_by_self: Mapped[bool] = mapped_column(default=False, server_default="0")
    failed_auth_count: Mapped[int] = mapped_column(default=0, server_default="0")
    failed_auth_at: Mapped[str | None] = mapped_column(default=None)
    last_active_on: Mapped[str | None] = mapped_column(default=None)
    tokens_from: Mapped[str] = mapped_column(default="")
    options: Mapped[dict[str, Any]]
    extra: Mapped[dict[str, Any]]
    created_at: Mapped[str]


# pages of a domain's users, and a name that somebody gives without the domain
Index("ix_users_domain", User.domain_id, User.id)
Index("ix_users_name", User.name)


class FormerPassword(Model):
    """A hash of a password that the user had; the highest `position` is the newest."""

    __tablename__ = "former_passwords"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    password_hash: Mapped[str]


class Group(Model):
    """A set of users that roles are given to at once."""

    __tablename__ = "identity_groups"
    __table_args__ = (UniqueConstraint("domain_id", "name", name="uq_identity_groups_name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    extra: Mapped[dict[str, Any]]


Index("ix_identity_groups_domain", Group.domain_id, Group.id)
Index("ix_identity_groups_name", Group.name)


class GroupMember(Model):
    __tablename__ = "identity_group_members"
    __table_args__ = (Index("ix_identity_group_members_user", "user_id"),)
    group_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
