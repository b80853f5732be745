# SPDX-License-Identifier: Apache-2.0
"""Objects in files on local disks: placed by a ring, verified on every read, repaired by two patient loops."""

from altostratus.drivers.object_store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
