# SPDX-License-Identifier: Apache-2.0
"""Who else may vouch for users, how their words are understood, and the users that came that way."""

from typing import Any

from sqlalchemy import Index, Text, UniqueConstraint

from altostratus.kernel.db import Json, Mapped, Model, mapped_column


class IdentityProvider(Model):
    """Users it vouches for belong to `domain_id`. `authorization_ttl`: minutes, None for the cloud's default."""

    __tablename__ = "identity_providers"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str] = mapped_column(index=True)
    enabled: Mapped[bool]
    description: Mapped[str | None] = mapped_column(Text, default=None)
    authorization_ttl: Mapped[int | None] = mapped_column(default=None)


class RemoteId(Model):
    """A name that an identity provider calls itself by; no two providers share one."""

    __tablename__ = "identity_provider_remote_ids"
    remote_id: Mapped[str] = mapped_column(primary_key=True)
    idp_id: Mapped[str] = mapped_column(index=True)


class FederationProtocol(Model):
    __tablename__ = "federation_protocols"
    idp_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    mapping_id: Mapped[str]
    remote_id_attribute: Mapped[str | None] = mapped_column(default=None)


class Mapping(Model):
    __tablename__ = "federation_mappings"
    id: Mapped[str] = mapped_column(primary_key=True)
    rules: Mapped[list[Any]] = mapped_column(Json)
    schema_version: Mapped[str]


class ServiceProvider(Model):
    """Another cloud that takes our word for our users."""

    __tablename__ = "service_providers"
    id: Mapped[str] = mapped_column(primary_key=True)
    auth_url: Mapped[str]
    sp_url: Mapped[str]
    description: Mapped[str | None] = mapped_column(Text, default=None)
    enabled: Mapped[bool]
    relay_state_prefix: Mapped[str]


class FederatedUser(Model):
    """`unique_id` is what the identity provider calls the user.

    `display_name` is what it last named a user who was made at a login; None for users who were here before.
    """

    __tablename__ = "federated_users"
    __table_args__ = (
        UniqueConstraint("idp_id", "protocol_id", "unique_id", name="uq_federated_users"),
        Index("ix_federated_users_user", "user_id"),
    )
    user_id: Mapped[str] = mapped_column(primary_key=True)
    idp_id: Mapped[str] = mapped_column(primary_key=True)
    protocol_id: Mapped[str] = mapped_column(primary_key=True)
    unique_id: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str | None] = mapped_column(default=None)


class ExpiringMember(Model):
    """A user in a group until `expires_at`, because an identity provider said so at `verified_at`."""

    __tablename__ = "expiring_group_members"
    __table_args__ = (Index("ix_expiring_group_members_user", "user_id", "expires_at"),)
    group_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    idp_id: Mapped[str] = mapped_column(primary_key=True)
    verified_at: Mapped[str]
    expires_at: Mapped[str] = mapped_column(index=True)


class UsedAssertion(Model):
    """An assertion that was taken, by the hash of its issuer and id, kept until it could not be used anyway."""

    __tablename__ = "used_assertions"
    key: Mapped[str] = mapped_column(primary_key=True)
    ends_at: Mapped[str] = mapped_column(index=True)
