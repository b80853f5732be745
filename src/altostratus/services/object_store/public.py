# SPDX-License-Identifier: Apache-2.0
"""What other services and the composition root may use of the object store."""

from altostratus.services.object_store.reconcilers.waste import settle_leftovers

__all__ = ["settle_leftovers"]
