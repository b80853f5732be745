# SPDX-License-Identifier: Apache-2.0
"""Servers under quarantine."""

from altostratus.kernel.db import Mapped, Model, mapped_column


class Quarantine(Model):
    """A server none of whose ports may pass traffic: since when, by whom and why. Gone with the server."""

    __tablename__ = "quarantines"
    device_id: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    user_id: Mapped[str]
    user_name: Mapped[str]
    created_at: Mapped[str]
