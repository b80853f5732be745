# SPDX-License-Identifier: Apache-2.0
"""Objects in a pool of a Ceph cluster, for those who outgrow one machine. Ceph is loaded at the first request."""

from .config import RadosOptions
from .connection import Connection
from .pool import RadosError
from .store import RadosStore

__all__ = ["Connection", "RadosError", "RadosOptions", "RadosStore"]
