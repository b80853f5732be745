# SPDX-License-Identifier: Apache-2.0
"""Objects, and bytes that nobody needs any longer."""

from typing import Any

from sqlalchemy import BigInteger, Index

from altostratus.kernel.db import Mapped, Model, mapped_column


class StoredObject(Model):
    """An object: the newest of its name. `blob_id` is None for an object without bytes of its own.

    `segments` is None, or the list of a static large object: container, name, etag, size, and range (first, last)
    of each. Such an object counts no bytes; `size` and `etag` are those of the whole.
    `meta` has the names without `X-Object-Meta-`, in lower case; `headers` what is given back as it came
    (content-encoding, content-disposition ...), by name in lower case.
    `parts_id` is the upload whose `UploadPart`s are its bytes. `s3` is what only S3 tells of it: `tags`, and
    `checksums` in base64 by algorithm.
    """

    __tablename__ = "objects"
    __table_args__ = (
        Index("ix_objects_expires", "expires_at", postgresql_where="expires_at IS NOT NULL"),
        Index("ix_objects_blob", "blob_id"),
    )
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


class Waste(Model):
    """A blob that no row names any longer: its bytes may go."""

    __tablename__ = "object_waste"
    blob_id: Mapped[str] = mapped_column(primary_key=True)
