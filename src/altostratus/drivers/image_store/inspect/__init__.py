# SPDX-License-Identifier: Apache-2.0
"""A safe look into disk images: headers only, own parsers, no foreign program, nothing that a header points at.

Why not ask `qemu-img info`? It opens what the image names: a backing file or an external data file of
an uploaded image may be any path of the host. So a file is looked at here first, and every program
that opens it later is told its format.
"""

from altostratus.drivers.image_store.inspect.declared import matches_declared, why_refused
from altostratus.drivers.image_store.inspect.verdict import (
    DEFAULT_MAX_VIRTUAL_BYTES,
    HeaderInspector,
    StreamInspector,
    inspect_file,
)

__all__ = [
    "DEFAULT_MAX_VIRTUAL_BYTES",
    "HeaderInspector",
    "StreamInspector",
    "inspect_file",
    "matches_declared",
    "why_refused",
]
