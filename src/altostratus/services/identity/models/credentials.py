# SPDX-License-Identifier: Apache-2.0
"""Credentials that users keep here, and application credentials."""

from typing import Any

from sqlalchemy import ForeignKey, Text, UniqueConstraint

from altostratus.kernel.db import Mapped, Model, mapped_column


class Credential(Model):
    """A secret kept for a user (ec2, totp ...). `blob` is encrypted with the token keys' own ring.

    `totp_step` is the time step of the last passcode that was taken: none is taken twice.
    """

    __tablename__ = "credentials"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str | None] = mapped_column(default=None)
    type: Mapped[str]
    encrypted_blob: Mapped[str] = mapped_column(Text)
    totp_step: Mapped[int | None] = mapped_column(default=None)
    extra: Mapped[dict[str, Any]]


class ApplicationCredential(Model):
    """A password of its own for a program, bound to one project and some of its owner's roles."""

    __tablename__ = "application_credentials"
    __table_args__ = (UniqueConstraint("user_id", "name", name="uq_application_credentials_name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    project_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(default=None)
    secret_hash: Mapped[str]
    expires_at: Mapped[str | None] = mapped_column(default=None)
    unrestricted: Mapped[bool]
    role_ids: Mapped[list[Any]]
    created_at: Mapped[str]


class AccessRule(Model):
    """Requests that a user lets programs make: catalog type of the service, HTTP method, pattern of the path."""

    __tablename__ = "access_rules"
    __table_args__ = (UniqueConstraint("user_id", "service", "method", "path", name="uq_access_rules"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    service: Mapped[str]
    method: Mapped[str]
    path: Mapped[str]


class CredentialRule(Model):
    """An application credential with such rows is good for what their rules allow only; without, for everything."""

    __tablename__ = "application_credential_access_rules"
    application_credential_id: Mapped[str] = mapped_column(
        ForeignKey("application_credentials.id", ondelete="CASCADE"), primary_key=True
    )
    access_rule_id: Mapped[str] = mapped_column(ForeignKey("access_rules.id"), primary_key=True, index=True)
