# SPDX-License-Identifier: Apache-2.0
"""What single domains have instead of the defaults of their users' backend."""

from typing import Any

from sqlalchemy import Text

from altostratus.kernel.db import Json, Mapped, Model, mapped_column


class DomainOption(Model):
    """An option of a domain: its `value`, or sealed JSON of the value if nobody may see it."""

    __tablename__ = "domain_options"
    domain_id: Mapped[str] = mapped_column(primary_key=True)
    group: Mapped[str] = mapped_column(primary_key=True)
    option: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(Json, nullable=True)
    encrypted_value: Mapped[str | None] = mapped_column(Text, default=None)
