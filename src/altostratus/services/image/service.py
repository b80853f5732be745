# SPDX-License-Identifier: Apache-2.0
"""The manifest of the image service."""

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.quota import UNLIMITED, Countable
from altostratus.kernel.resource.fragments import Fragments
from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.services.image.api.data import ImageData
from altostratus.services.image.api.discovery import Info, Stores, Tasks, Versions
from altostratus.services.image.api.images import RULES, Image
from altostratus.services.image.api.members import Members
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.errors import envelope
from altostratus.services.image.jobs.delete_data import DELETE_DATA
from altostratus.services.image.jobs.import_image import IMPORT_IMAGE
from altostratus.services.image.logic.images import (
    count_images,
    count_uploading,
    staged_size_mib,
    total_size_mib,
)
from altostratus.services.image.logic.uploads import Uploads
from altostratus.services.image.reconcilers import RECONCILERS, Orphans


def prepare(_tx: Tx, cloud: Cloud) -> None:
    """What this process keeps in memory: running uploads, orphans seen, rendered rows."""
    if not cloud.has_part(Uploads):
        cloud.add_part(Uploads, Uploads())
        cloud.add_part(Orphans, Orphans())
    if not cloud.has_part(Fragments):
        cloud.add_part(Fragments, Fragments())


SERVICE = Service(
    type="image",
    name="glance",
    title="Image",
    path="/image/v2",
    root="/image",
    strict_paths=True,
    resources=(Versions, Image, ImageData, Members, Info, Stores, Tasks),
    envelope=envelope,
    style=Style(links="glance", max_limit=1000),
    policy_namespace="glance",
    jobs=(DELETE_DATA, IMPORT_IMAGE),
    reconcilers=RECONCILERS,
    quotas=(
        Countable("image_count_total", UNLIMITED, count_images, "images"),
        Countable("image_count_uploading", UNLIMITED, count_uploading, "images on their way"),
        Countable("image_stage_total", UNLIMITED, staged_size_mib, "MiB of staged data"),
        Countable("image_size_total", UNLIMITED, total_size_mib, "MiB of image data"),
    ),
    options=(ImageOptions,),
    rules=RULES,
    seeds=(prepare,),
    classic_port=9292,
)
