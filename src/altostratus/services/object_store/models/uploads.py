# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts, as S3 has them."""

from typing import Any

from sqlalchemy import BigInteger, Index

from altostratus.kernel.db import Mapped, Model, mapped_column


class MultipartUpload(Model):
    """An upload that is not completed. `described` has columns of the object that it will be.

    Its parts count as bytes of the container. `checksum_algorithm` and `checksum_type` are those that the object is to
    have a checksum of, None for none.
    """

    __tablename__ = "object_uploads"
    __table_args__ = (Index("ix_object_uploads_name", "container_id", "name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    container_id: Mapped[str]
    name: Mapped[str]
    created_us: Mapped[int] = mapped_column(BigInteger)
    described: Mapped[dict[str, Any]]
    checksum_algorithm: Mapped[str | None] = mapped_column(default=None)
    checksum_type: Mapped[str | None] = mapped_column(default=None)


class UploadPart(Model):
    """A part of an upload, or of the object that it became. `checksums` in base64 by algorithm."""

    __tablename__ = "object_upload_parts"
    __table_args__ = (Index("ix_object_upload_parts_blob", "blob_id"),)
    upload_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str]
    modified_us: Mapped[int] = mapped_column(BigInteger)
    blob_id: Mapped[str | None] = mapped_column(default=None)
    checksums: Mapped[dict[str, Any]]
