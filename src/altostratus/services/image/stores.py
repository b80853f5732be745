# SPDX-License-Identifier: Apache-2.0
"""What the image service gets from the composition root, and how its absence is told."""

from altostratus.contracts.image_store import DiskInspector, ImageStore, ImageStoreError, StagingArea
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import ApiError, BadRequest, NotFound, TooLarge, Unavailable


def store_of(cloud: Cloud) -> ImageStore:
    return cloud.part(ImageStore)  # type: ignore[type-abstract]


def inspector_of(cloud: Cloud) -> DiskInspector:
    return cloud.part(DiskInspector)  # type: ignore[type-abstract]


def staging_directory(cloud: Cloud) -> str:
    """Where agents put finished files for the store to take over."""
    return cloud.part(StagingArea).directory


def store_name(cloud: Cloud) -> str:
    return store_of(cloud).name


def import_methods() -> tuple[str, ...]:
    """What `POST /images/{id}/import` can do."""
    return ("glance-direct",)


def refusal_of(error: ImageStoreError) -> ApiError:
    """The answer to a client whose data the store did not take or give."""
    if error.code in ("full", "too_large"):
        return TooLarge(str(error))
    if error.code in ("short", "invalid"):
        return BadRequest(str(error))
    if error.code == "missing":
        return NotFound(str(error))
    return Unavailable(str(error))
