# SPDX-License-Identifier: Apache-2.0
"""How far the daily passes over buckets with a lifecycle are."""

from typing import Any

from sqlalchemy import BigInteger

from altostratus.kernel.db import Mapped, Model, mapped_column


class LifecyclePass(Model):
    """There is one for each container with rules, from the moment on that they are set.

    `done_day` is the last day (since 1970, UTC) whose pass is complete. `stage` is what the present one looks at,
    `position` the place of the last row that it saw there.
    """

    __tablename__ = "object_lifecycle_passes"
    container_id: Mapped[str] = mapped_column(primary_key=True)
    done_day: Mapped[int] = mapped_column(BigInteger, index=True)
    stage: Mapped[str]
    position: Mapped[list[Any]]
