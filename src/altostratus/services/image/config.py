# SPDX-License-Identifier: Apache-2.0
"""Options of the image service."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


class ImageOptions(Section, frozen=True, kw_only=True, name="image"):
    """`[image]` of the configuration file."""

    max_image_bytes: Annotated[int, Meta(description="largest image that may be uploaded", ge=1)] = 1 << 40
    member_limit: Annotated[int, Meta(description="projects one image may be shared with", ge=0)] = 128
    property_limit: Annotated[int, Meta(description="properties one image may have", ge=0)] = 128
    tag_limit: Annotated[int, Meta(description="tags one image may have", ge=0)] = 128
    stale_upload_s: Annotated[
        int,
        Meta(description="seconds without a sign of life after which an upload of another process is given up", ge=10),
    ] = 120
    default_limit: Annotated[int, Meta(description="images on a page when the client does not say", ge=1)] = 25
