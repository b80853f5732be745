# SPDX-License-Identifier: Apache-2.0
"""Every service of the cloud, in the order in which they may know each other."""

from altostratus.kernel.resource.service import Service
from altostratus.services.block_storage.service import SERVICE as BLOCK_STORAGE
from altostratus.services.compute.service import SERVICE as COMPUTE
from altostratus.services.identity.service import SERVICE as IDENTITY
from altostratus.services.image.service import SERVICE as IMAGE
from altostratus.services.network.service import SERVICE as NETWORK
from altostratus.services.object_store.service import SERVICE as OBJECT_STORE
from altostratus.services.placement.service import SERVICE as PLACEMENT

ALL_SERVICES: tuple[Service, ...] = (IDENTITY, PLACEMENT, OBJECT_STORE, IMAGE, NETWORK, BLOCK_STORAGE, COMPUTE)
