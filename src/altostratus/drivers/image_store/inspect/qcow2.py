# SPDX-License-Identifier: Apache-2.0
"""Header of QEMU's qcow2 format, versions 2 and 3 (layout: docs/interop/qcow2.txt of QEMU)."""

import struct

from altostratus.drivers.image_store.inspect.finding import Finding, printable
from altostratus.drivers.image_store.inspect.window import Window

_MAGIC = b"QFI\xfb"
_HEAD = struct.Struct(">4sIQIIQI")
_INCOMPATIBLE_DIRTY = 1 << 0
_INCOMPATIBLE_CORRUPT = 1 << 1
_INCOMPATIBLE_DATA_FILE = 1 << 2
# dirty, corrupt, data file, compression type, extended L2 entries
_INCOMPATIBLE_KNOWN = 0b11111
_EXTENSION_END = 0
_EXTENSION_DATA_FILE = 0x44415441
_MAX_EXTENSIONS = 64
_MAX_NAME_BYTES = 1023


def probe_qcow2(window: Window) -> Finding | None:
    """None if this is no qcow2 image."""
    head = window.read_at(0, 104)
    if not head.startswith(_MAGIC):
        return None
    if len(head) < 72:
        return Finding("qcow2", None, unsafe="its qcow2 header is cut short")
    _, version, backing_offset, backing_length, cluster_bits, virtual_size, crypt_method = _HEAD.unpack_from(head)
    if version not in (2, 3):
        return Finding("qcow2", virtual_size, unsafe=f"its qcow2 version {version} is not known; versions 2 and 3 are")
    backing = _name_at(window, backing_offset, backing_length)
    incompatible = 0
    header_length = 72
    if version == 3:
        if len(head) < 104:
            return Finding("qcow2", virtual_size, unsafe="its qcow2 header is cut short")
        (incompatible,) = struct.unpack_from(">Q", head, 72)
        (header_length,) = struct.unpack_from(">I", head, 100)
    data_file = _data_file(window, header_length)
    unsafe = None
    if backing_offset or backing_length:
        unsafe = f"it needs the backing file '{backing or '?'}'; flatten it with 'qemu-img convert' first"
    elif incompatible & _INCOMPATIBLE_DATA_FILE or data_file is not None:
        unsafe = "it keeps its data in another file; flatten it with 'qemu-img convert' first"
    elif incompatible & ~_INCOMPATIBLE_KNOWN:
        unsafe = f"it uses qcow2 features that are not known here (bits {incompatible & ~_INCOMPATIBLE_KNOWN:#x})"
    elif incompatible & _INCOMPATIBLE_CORRUPT:
        unsafe = "it is marked corrupt; repair it with 'qemu-img check -r all' first"
    elif not 9 <= cluster_bits <= 21:
        unsafe = f"its cluster size (2^{cluster_bits} bytes) is out of range"
    elif crypt_method:
        unsafe = "its qcow2 content is encrypted; convert it to plain qcow2 or to LUKS first"
    return Finding("qcow2", virtual_size, backing, data_file, unsafe)


def _name_at(window: Window, offset: int, length: int) -> str | None:
    if not offset or not length:
        return None
    return printable(window.read_at(offset, min(length, _MAX_NAME_BYTES)))


def _data_file(window: Window, offset: int) -> str | None:
    """Name in the external data file extension, or None. Extensions stand between header and first cluster."""
    for _ in range(_MAX_EXTENSIONS):
        entry = window.read_at(offset, 8)
        if len(entry) < 8:
            return None
        kind, length = struct.unpack(">II", entry)
        if kind == _EXTENSION_END:
            return None
        if kind == _EXTENSION_DATA_FILE:
            return printable(window.read_at(offset + 8, min(length, _MAX_NAME_BYTES)))
        offset += 8 + (length + 7) // 8 * 8
    return None
