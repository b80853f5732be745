# SPDX-License-Identifier: Apache-2.0
"""Tables of the image service.

Tags and properties are JSON in the image's row, so a list of images is one query; filters by them
compare the stored text (`logic/filters.py`).
"""

from typing import Any

from sqlalchemy import BigInteger, Index, Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class ImageRow(Model):
    """One image.

    status    queued, saving, uploading, importing, active, deactivated
    upload    names the request that is receiving data now; None when there is none
    etag      changes with every change of what the API shows
    """

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_owner", "owner", "created_at"),
        Index("ix_images_visibility", "visibility", "created_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    status: Mapped[str]
    visibility: Mapped[str]
    owner: Mapped[str | None]
    disk_format: Mapped[str | None]
    container_format: Mapped[str | None]
    min_disk: Mapped[int] = mapped_column(default=0)
    min_ram: Mapped[int] = mapped_column(default=0)
    size: Mapped[int | None] = mapped_column(BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(BigInteger)
    checksum: Mapped[str | None]
    os_hash_algo: Mapped[str | None]
    os_hash_value: Mapped[str | None]
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[list[Any]]
    properties: Mapped[dict[str, Any]]
    location: Mapped[str | None] = mapped_column(Text)
    staged_location: Mapped[str | None] = mapped_column(Text)
    upload: Mapped[str | None]
    upload_seen_at: Mapped[str | None]
    etag: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str]


class ImageMember(Model):
    """A project that an image is shared with; status pending, accepted or rejected."""

    __tablename__ = "image_members"
    image_id: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    status: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str]
