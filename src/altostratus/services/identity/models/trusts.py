# SPDX-License-Identifier: Apache-2.0
"""Trusts: what a user lets another one do in the own name."""

from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint

from altostratus.kernel.db import Mapped, Model, mapped_column


class Trust(Model):
    """The trustor's roles on a project, for the trustee. Never changed but for `remaining_uses` (None: no limit).

    `redelegation_count` says how many more trusts may follow in a row; `redelegated_trust_id` names the trust that
    this one was made with, and goes with.
    """

    __tablename__ = "trusts"
    __table_args__ = (
        UniqueConstraint(
            "trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at", name="uq_trusts"
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    trustor_user_id: Mapped[str]
    trustee_user_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    impersonation: Mapped[bool]
    role_ids: Mapped[list[Any]]
    expires_at: Mapped[str | None] = mapped_column(default=None)
    remaining_uses: Mapped[int | None] = mapped_column(default=None)
    redelegation_count: Mapped[int]
    redelegated_trust_id: Mapped[str | None] = mapped_column(ForeignKey("trusts.id", ondelete="CASCADE"), index=True)
    extra: Mapped[dict[str, Any]]
