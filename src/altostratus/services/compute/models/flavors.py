# SPDX-License-Identifier: Apache-2.0
"""Flavors, who may use the private ones, and key pairs."""

from typing import Any

from sqlalchemy import Text, UniqueConstraint

from altostratus.kernel.db import Mapped, Model, mapped_column


class Flavor(Model):
    """A size of servers. `flavorid` is the id of the API; sizes in MiB (ram, swap) and GiB."""

    __tablename__ = "flavors"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    flavorid: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    ram: Mapped[int]
    vcpus: Mapped[int]
    disk: Mapped[int]
    ephemeral: Mapped[int] = mapped_column(default=0)
    swap: Mapped[int] = mapped_column(default=0)
    rxtx_factor: Mapped[float] = mapped_column(default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str | None] = mapped_column(Text)
    extra_specs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[str]
    updated_at: Mapped[str | None]


class FlavorAccess(Model):
    """A project that may use a private flavor."""

    __tablename__ = "flavor_access"
    flavorid: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)


class Keypair(Model):
    """A public key of a user, given to new servers by its name. Private keys are never stored."""

    __tablename__ = "keypairs"
    __table_args__ = (UniqueConstraint("user_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str]
    name: Mapped[str]
    type: Mapped[str] = mapped_column(default="ssh")
    fingerprint: Mapped[str]
    public_key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str]
