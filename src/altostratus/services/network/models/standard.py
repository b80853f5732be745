# SPDX-License-Identifier: Apache-2.0
"""The columns that every resource of this service has: upstream's standard attributes."""

from typing import Any

from altostratus.kernel.db import Mapped, mapped_column


class Standard:
    """`revision_number` grows with every change of the row; clients compare it."""

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(index=True, default="")
    description: Mapped[str] = mapped_column(default="")
    revision_number: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[str]
    updated_at: Mapped[str]


class Named(Standard):
    """Standard attributes of what people name and tag."""

    name: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[Any]] = mapped_column(default=list)
