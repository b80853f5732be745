# SPDX-License-Identifier: Apache-2.0
"""Does an image fit a flavor? The refusals are what upstream's clients and tests know."""

from typing import Any

from altostratus.kernel.auth import Context
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.services.image import public as image
from altostratus.services.image.public import ImageInfo

GIB = 1 << 30


def get_usable(tx: Tx, ctx: Context, image_id: str) -> ImageInfo:
    """The image, visible and active. Raises BadRequest."""
    try:
        found = image.get_image(tx, ctx, image_id)
    except NotFound:
        raise BadRequest(f"Image {image_id} could not be found.", kind="ImageNotFound") from None
    if found.status != "active":
        raise BadRequest(
            f"Image {image_id} is not active: it is {found.status}. Wait until it is, or choose another.",
            kind="ImageNotActive",
        )
    return found


def demand_fits(found: ImageInfo, ram_mib: int, root_gib: int | None) -> None:
    """Raises BadRequest if the flavor's memory or the root disk is too small.

    `root_gib` is the size of the root disk (of a volume, if it is one); 0 means as large as the image,
    None that it is not known.
    """
    if ram_mib < (found.min_ram_mib or 0):
        raise BadRequest(
            f"Flavor's memory is too small for requested image: it has {ram_mib} MiB "
            f"and the image needs {found.min_ram_mib} MiB.",
            kind="FlavorMemoryTooSmall",
        )
    if not root_gib:
        return
    needs = max(found.virtual_size_bytes or 0, 0)
    if found.disk_format in ("raw", "ari", "ami", "aki") and not needs:
        needs = found.size_bytes or 0
    if root_gib * GIB < needs:
        raise BadRequest(
            f"Flavor's disk is too small for requested image. Flavor disk is {root_gib * GIB} bytes, image is "
            f"{needs} bytes.",
            kind="FlavorDiskSmallerThanImage",
        )
    if root_gib < (found.min_disk_gib or 0):
        raise BadRequest(
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{root_gib * GIB} bytes, minimum size is {found.min_disk_gib * GIB} bytes.",
            kind="FlavorDiskSmallerThanMinDisk",
        )


def properties_of(found: ImageInfo) -> dict[str, Any]:
    """What a server remembers of its image."""
    return {
        **found.properties,
        "disk_format": found.disk_format,
        "container_format": found.container_format,
        "min_disk": found.min_disk_gib,
        "min_ram": found.min_ram_mib,
        "image_name": found.name,
    }
