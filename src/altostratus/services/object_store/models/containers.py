# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers, with exact counts."""

from typing import Any

from sqlalchemy import BigInteger, UniqueConstraint

from altostratus.kernel.db import Mapped, Model, mapped_column


class Account(Model):
    """`name` is AUTH_ and the project's id. `meta` has the names without `X-Account-Meta-`, in lower case.

    `changes` counts how often the other counts changed, `metered` is what it was when they were told last.
    """

    __tablename__ = "object_accounts"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_us: Mapped[int] = mapped_column(BigInteger)
    container_count: Mapped[int] = mapped_column(BigInteger, default=0)
    object_count: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_used: Mapped[int] = mapped_column(BigInteger, default=0)
    changes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    metered: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    meta: Mapped[dict[str, Any]]


class Container(Model):
    """A container. `meta` as for accounts; `settings` has lists of access and other headers that mean something.

    `policy` is the index of the storage policy of its new blobs. `s3` is what only S3 sets: `policy`, the text of the
    bucket's policy, `cors`, a list of rules, and `tags`. `changes` and `metered` as for accounts.
    """

    __tablename__ = "object_containers"
    __table_args__ = (UniqueConstraint("account", "name", name="uq_object_containers_name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str]
    name: Mapped[str]
    policy: Mapped[int] = mapped_column(default=0, server_default="0")
    created_us: Mapped[int] = mapped_column(BigInteger)
    modified_us: Mapped[int] = mapped_column(BigInteger)
    object_count: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_used: Mapped[int] = mapped_column(BigInteger, default=0)
    changes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    metered: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    meta: Mapped[dict[str, Any]]
    settings: Mapped[dict[str, Any]]
    s3: Mapped[dict[str, Any] | None] = mapped_column(default=None)


class PolicyCounts(Model):
    """What an account has by a storage policy. None for the policy 0: that has the rest of the account's counts."""

    __tablename__ = "object_policy_counts"
    account: Mapped[str] = mapped_column(primary_key=True)
    policy: Mapped[int] = mapped_column(primary_key=True)
    container_count: Mapped[int] = mapped_column(BigInteger, default=0)
    object_count: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_used: Mapped[int] = mapped_column(BigInteger, default=0)
