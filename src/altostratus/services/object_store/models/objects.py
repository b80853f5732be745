# SPDX-License-Identifier: Apache-2.0
"""Objects, their versions, and bytes that nobody needs any longer."""

from typing import Any

from sqlalchemy import BigInteger, Index, text

from altostratus.kernel.db import Mapped, Model, mapped_column


class _Stored:
    """Columns of an object, be it the newest of its name or a version before.

    `blob_id` is None for an object without bytes of its own.
    `segments` is None, or the list of a static large object: container, name, etag, size, and range (first, last)
    of each. Such an object counts no bytes; `size` and `etag` are those of the whole.
    `meta` has the names without `X-Object-Meta-`, in lower case; `headers` what is given back as it came
    (content-encoding, content-disposition ...), by name in lower case.
    `parts_id` is the upload whose `UploadPart`s are its bytes. `s3` is what only S3 tells of it: `tags`, and
    `checksums` in base64 by algorithm.
    """

    container_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str]
    content_type: Mapped[str]
    modified_us: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    blob_id: Mapped[str | None] = mapped_column(default=None)
    segments: Mapped[list[Any] | None] = mapped_column(default=None)
    parts_id: Mapped[str | None] = mapped_column(default=None)
    s3: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    meta: Mapped[dict[str, Any]]
    headers: Mapped[dict[str, Any]]


class StoredObject(_Stored, Model):
    """An object: the current one of its name. `version_us` is None for one that has no version's id (`null`)."""

    __tablename__ = "objects"
    __table_args__ = (
        Index("ix_objects_expires", "expires_at", postgresql_where="expires_at IS NOT NULL"),
        Index("ix_objects_blob", "blob_id"),
    )
    version_us: Mapped[int | None] = mapped_column(BigInteger, default=None, sort_order=1)


class ObjectVersion(_Stored, Model):
    """What an object was before it was replaced or deleted, or a marker of its deletion.

    `newest_first` is minus the moment at which the version was made, in microseconds: its id, unless it is the one
    version of the name that `is_null`. `noncurrent_us` is the moment at which something else became the current one;
    None for a marker that is the newest there is. A marker has no bytes.
    """

    __tablename__ = "object_versions"
    __table_args__ = (
        Index("ix_object_versions_blob", "blob_id"),
        Index(
            "uq_object_versions_null", "container_id", "name", unique=True, sqlite_where=text("is_null = 1"),
            postgresql_where=text("is_null"),
        ),
    )  # fmt: skip
    newest_first: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=1)
    is_null: Mapped[bool] = mapped_column(default=False, sort_order=1)
    is_marker: Mapped[bool] = mapped_column(default=False, sort_order=1)
    noncurrent_us: Mapped[int | None] = mapped_column(BigInteger, default=None, sort_order=1)


class Waste(Model):
    """A blob that no row names any longer: its bytes may go."""

    __tablename__ = "object_waste"
    blob_id: Mapped[str] = mapped_column(primary_key=True)
