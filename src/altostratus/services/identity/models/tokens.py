# SPDX-License-Identifier: Apache-2.0
"""Tokens are not stored; what is stored says which ones are void."""

from altostratus.kernel import clock
from altostratus.kernel.db import Mapped, Model, mapped_column


class Revocation(Model):
    """A revoked token, by its audit id, kept until it would have expired anyway."""

    __tablename__ = "token_revocations"
    audit_id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[str] = mapped_column(index=True)
    revoked_at: Mapped[str] = mapped_column(default=clock.now, server_default="")


class Revision(Model):
    """One row, counted up by every change: other processes see by it that their cached tokens are old."""

    __tablename__ = "identity_revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]
