# SPDX-License-Identifier: Apache-2.0
"""Tables of the object store. Times are whole microseconds since 1970: listings sort and headers show them."""

from altostratus.services.object_store.models.containers import Account, Container, PolicyCounts
from altostratus.services.object_store.models.lifecycles import LifecyclePass
from altostratus.services.object_store.models.objects import ObjectVersion, StoredObject, Waste
from altostratus.services.object_store.models.syncs import ContainerSync, SyncChange
from altostratus.services.object_store.models.uploads import MultipartUpload, UploadPart

__all__ = [
    "Account",
    "Container",
    "ContainerSync",
    "LifecyclePass",
    "MultipartUpload",
    "ObjectVersion",
    "PolicyCounts",
    "StoredObject",
    "SyncChange",
    "UploadPart",
    "Waste",
]
