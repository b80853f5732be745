# SPDX-License-Identifier: Apache-2.0
"""VMware's VMDK: the sparse header, its stream footer, and the text descriptor in either place.

Only `monolithicSparse` and `streamOptimized` hold their data in the file itself. Every other type, a
parent, or an extent with a path in its name would make a reader open another file of the host.
"""

import re
import struct

from altostratus.drivers.image_store.inspect.finding import Finding, printable
from altostratus.drivers.image_store.inspect.window import Window

_MAGIC = b"KDMV"
_OLD_MAGIC = b"COWD"
_HEADER = struct.Struct("<4sIIQQQQIQQ")
_SECTOR = 512
_MAX_DESCRIPTOR_BYTES = (1 << 20) - 1
_GRAIN_DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
_FOOTER_BYTES = 3 * _SECTOR
_SAFE_TYPES = ("monolithicsparse", "streamoptimized")
_TYPE = re.compile(r'^\s*createtype\s*=\s*"([^"]{0,64})"', re.MULTILINE | re.IGNORECASE)
_EXTENT = re.compile(r'^\s*(?:rw|rdonly|noaccess)\s+(\d+)\s+(\w+)(?:\s+"([^"]*)")?(.*)$', re.MULTILINE | re.IGNORECASE)
_PARENT = re.compile(r'^\s*parentfilenamehint\s*=\s*"?([^"\n]*)', re.MULTILINE | re.IGNORECASE)
_PARENT_ID = re.compile(r"^\s*parentcid\s*=\s*([0-9a-f]+)", re.MULTILINE | re.IGNORECASE)


def probe_vmdk(window: Window) -> Finding | None:
    """None if this is no VMDK image."""
    head = window.read_at(0, _SECTOR)
    if head.startswith(_OLD_MAGIC):
        return Finding("vmdk", None, unsafe="the old COWD kind of VMDK is not supported; convert it to qcow2")
    if not head.startswith(_MAGIC):
        return _text_descriptor(window, head)
    if len(head) < _HEADER.size:
        return Finding("vmdk", None, unsafe="its VMDK header is cut short")
    _, version, _, capacity, _, text_at, text_sectors, _, _, directory_at = _HEADER.unpack_from(head)
    virtual_size = capacity * _SECTOR
    if version not in (1, 2, 3):
        return Finding("vmdk", virtual_size, unsafe=f"its VMDK version {version} is not known")
    if text_at != 1:
        return Finding("vmdk", virtual_size, unsafe="its VMDK descriptor is not where it must be")
    raw = window.read_at(text_at * _SECTOR, min(text_sectors * _SECTOR, _MAX_DESCRIPTOR_BYTES))
    unsafe = _why_descriptor_unsafe(raw.split(b"\0", 1)[0])
    if unsafe is None and directory_at == _GRAIN_DIRECTORY_AT_END:
        unsafe = _why_footer_unsafe(window, head)
    return Finding("vmdk", virtual_size, unsafe=unsafe)


def _text_descriptor(window: Window, head: bytes) -> Finding | None:
    """A descriptor alone: its data can only lie in other files, so it is always refused."""
    if b"\0" in head or not head.lstrip().lower().startswith((b"# disk descriptorfile", b"version", b"createtype")):
        return None
    if not _TYPE.search(window.read_at(0, _MAX_DESCRIPTOR_BYTES).decode("latin-1")):
        return None
    return Finding("vmdk", None, unsafe="it is only a VMDK descriptor whose data lies in other files; upload one file")


def _why_descriptor_unsafe(raw: bytes) -> str | None:
    text = raw.decode("latin-1")
    kind = _TYPE.search(text)
    if kind is None:
        return "its VMDK descriptor names no type"
    if kind.group(1).lower() not in _SAFE_TYPES:
        name = printable(kind.group(1).encode("latin-1"))
        return f"VMDK type '{name}' keeps its data elsewhere; only monolithicSparse and streamOptimized are accepted"
    parent_id = _PARENT_ID.search(text)
    if _PARENT.search(text) or (parent_id and parent_id.group(1).lower().lstrip("f")):
        return "its VMDK descriptor names a parent image; flatten it with 'qemu-img convert' first"
    extents = _EXTENT.findall(text)
    if len(extents) != 1:
        return f"its VMDK descriptor names {len(extents)} extents where there must be one"
    _, extent_kind, file_name, _ = extents[0]
    if extent_kind.lower() != "sparse" or "/" in file_name or "\\" in file_name:
        return "its VMDK descriptor names an extent in another file"
    return None


def _why_footer_unsafe(window: Window, head: bytes) -> str | None:
    """A stream's footer replaces its header, so it must say the same in everything that is checked above."""
    raw = window.read_at(window.size - _FOOTER_BYTES, _FOOTER_BYTES)
    if len(raw) != _FOOTER_BYTES or raw[_SECTOR : _SECTOR + 4] != _MAGIC:
        return "its VMDK footer is missing"
    footer = _HEADER.unpack_from(raw, _SECTOR)
    if footer[:9] != _HEADER.unpack_from(head)[:9] or footer[9] == _GRAIN_DIRECTORY_AT_END:
        return "its VMDK header and footer contradict each other"
    return None
