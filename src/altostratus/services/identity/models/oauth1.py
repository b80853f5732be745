# SPDX-License-Identifier: Apache-2.0
"""OAuth 1: programs, what they ask for, what users gave them. Secrets are sealed, not hashed: signatures need them."""

from typing import Any

from sqlalchemy import Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class Consumer(Model):
    """A program that may ask users for a part of their rights."""

    __tablename__ = "oauth_consumers"
    id: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str | None] = mapped_column(Text, default=None)
    encrypted_secret: Mapped[str] = mapped_column(Text)
    extra: Mapped[dict[str, Any]]


class RequestToken(Model):
    """A consumer's question. Once authorized it names the user, the roles and the verifier that the user passes on."""

    __tablename__ = "oauth_request_tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    consumer_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str]
    encrypted_secret: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(default=None)
    role_ids: Mapped[list[Any]]
    verifier: Mapped[str | None] = mapped_column(default=None)
    expires_at: Mapped[str | None] = mapped_column(default=None)


class AccessToken(Model):
    """What a user gave to a consumer: some roles on one project."""

    __tablename__ = "oauth_access_tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    consumer_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str]
    role_ids: Mapped[list[Any]]
    encrypted_secret: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[str | None] = mapped_column(default=None)


class UsedNonce(Model):
    """A signed request that was taken once; kept for as long as its time would be accepted again."""

    __tablename__ = "oauth_used_nonces"
    consumer_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[str] = mapped_column(index=True)
