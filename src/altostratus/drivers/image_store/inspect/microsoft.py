# SPDX-License-Identifier: Apache-2.0
"""Microsoft's VHD (QEMU: `vpc`) and VHDX."""

import struct
import uuid

from altostratus.drivers.image_store.inspect.finding import Finding
from altostratus.drivers.image_store.inspect.window import Window

_FOOTER_BYTES = 512
_DIFFERENCING = 4
_KIB64 = 64 << 10
_REGION_TABLES = (3 * _KIB64, 4 * _KIB64)
_MAX_REGIONS = 2047
_MAX_METADATA = 2047


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


_METADATA_REGION = _guid("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_VIRTUAL_SIZE = _guid("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_FILE_PARAMETERS = _guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_PARENT_LOCATOR = _guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")


def probe_vhd(window: Window) -> Finding | None:
    """None if this is no VHD image. A fixed VHD has its footer only at the end."""
    for offset in (0, window.size - _FOOTER_BYTES):
        footer = window.read_at(offset, _FOOTER_BYTES)
        if not footer.startswith(b"conectix"):
            continue
        if len(footer) < _FOOTER_BYTES:
            return Finding("vhd", None, unsafe="its VHD footer is cut short")
        (virtual_size,) = struct.unpack_from(">Q", footer, 48)
        (kind,) = struct.unpack_from(">I", footer, 60)
        unsafe = None
        if kind == _DIFFERENCING:
            unsafe = "it is a differencing VHD that needs its parent; merge it with its parent first"
        elif kind not in (2, 3):
            unsafe = f"its VHD type {kind} is not known; fixed and dynamic are"
        return Finding("vhd", virtual_size, unsafe=unsafe)
    return None


def probe_vhdx(window: Window) -> Finding | None:
    """None if this is no VHDX image."""
    if window.read_at(0, 8) != b"vhdxfile":
        return None
    metadata_at = next((at for table in _REGION_TABLES if (at := _metadata_offset(window, table))), None)
    if metadata_at is None:
        return Finding("vhdx", None, unsafe="its VHDX region table cannot be read")
    items = _metadata_items(window, metadata_at)
    size_raw = _item(window, items, _VIRTUAL_SIZE, 8)
    parameters = _item(window, items, _FILE_PARAMETERS, 8)
    if size_raw is None or parameters is None:
        return Finding("vhdx", None, unsafe="its VHDX metadata cannot be read")
    (virtual_size,) = struct.unpack("<Q", size_raw)
    (flags,) = struct.unpack_from("<I", parameters, 4)
    unsafe = None
    if flags & 2 or _PARENT_LOCATOR in items:
        unsafe = "it is a differencing VHDX that needs its parent; merge it with its parent first"
    return Finding("vhdx", virtual_size, unsafe=unsafe)


def _metadata_offset(window: Window, table_at: int) -> int | None:
    table = window.read_at(table_at, _KIB64)
    if len(table) < 16 or not table.startswith(b"regi"):
        return None
    (count,) = struct.unpack_from("<I", table, 8)
    for index in range(min(count, _MAX_REGIONS)):
        entry = table[16 + 32 * index : 48 + 32 * index]
        if len(entry) == 32 and entry[:16] == _METADATA_REGION:
            return int(struct.unpack_from("<Q", entry, 16)[0])
    return None


def _metadata_items(window: Window, metadata_at: int) -> dict[bytes, int]:
    """Offsets in the file of the metadata items, by GUID."""
    table = window.read_at(metadata_at, _KIB64)
    if len(table) < 32 or not table.startswith(b"metadata"):
        return {}
    (count,) = struct.unpack_from("<H", table, 10)
    items: dict[bytes, int] = {}
    for index in range(min(count, _MAX_METADATA)):
        entry = table[32 + 32 * index : 64 + 32 * index]
        if len(entry) == 32:
            items[entry[:16]] = metadata_at + int(struct.unpack_from("<I", entry, 16)[0])
    return items


def _item(window: Window, items: dict[bytes, int], guid: bytes, length: int) -> bytes | None:
    raw = window.read_at(items[guid], length) if guid in items else b""
    return raw if len(raw) == length else None
