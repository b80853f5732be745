# SPDX-License-Identifier: Apache-2.0
"""Is the data what the image says it is? Refused before it can reach a hypervisor."""

from typing import Any

from altostratus.contracts.image_store import StoredImage
from altostratus.kernel.cloud import Cloud
from altostratus.services.image.stores import inspector_of, store_of

# inside these, the disk is wrapped in something that is not looked into and that no server boots from
_WRAPPED = ("ovf", "ova", "docker", "compressed")


def check_content(cloud: Cloud, row: Any, stored: StoredImage) -> str | None:
    """None if the data may stay, else the reason why not (another format, a backing file, an absurd size)."""
    if row.container_format in _WRAPPED:
        return None
    facts = stored.facts or store_of(cloud).inspect(stored.location)
    return inspector_of(cloud).why_refused(row.disk_format, facts)
