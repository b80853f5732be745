# SPDX-License-Identifier: Apache-2.0
"""Which of our ids stands for what in the directories of domains."""

from sqlalchemy import Index, Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class IdMapping(Model):
    """A user or group that a domain's directory has, or had; its row beside the local ones is a copy.

    `seen_at`: when the directory last showed it, in a list maybe; `checked_at`: when it last showed the user with all
    groups; `gone_at`: when it was first missed. Until `watched_until` somebody has a token as this user, who is looked
    at again and again.
    """

    __tablename__ = "id_mappings"
    __table_args__ = (Index("ix_id_mappings_domain", "domain_id", "kind"),)
    public_id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str]
    kind: Mapped[str]
    local_id: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[str]
    checked_at: Mapped[str] = mapped_column(default="")
    gone_at: Mapped[str | None] = mapped_column(default=None, index=True)
    watched_until: Mapped[str | None] = mapped_column(default=None, index=True)
