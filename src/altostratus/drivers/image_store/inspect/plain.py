# SPDX-License-Identifier: Apache-2.0
"""QED, VDI, LUKS, ISO 9660 and partitioned raw disks."""

import struct

from altostratus.drivers.image_store.inspect.finding import Finding
from altostratus.drivers.image_store.inspect.window import Window

_VDI_SIGNATURE = 0xBEDA107F
_VDI_DYNAMIC, _VDI_FIXED = 1, 2
_LUKS_MAGIC = b"LUKS\xba\xbe"


def probe_qed(window: Window) -> Finding | None:
    """QED is recognised to be refused: it may name a backing file, and QEMU's own authors gave it up."""
    if window.read_at(0, 4) != b"QED\0":
        return None
    return Finding("qed", None, unsafe="the QED format is not accepted; convert it to qcow2 first")


def probe_vdi(window: Window) -> Finding | None:
    """VirtualBox's VDI, header version 1.1."""
    head = window.read_at(0, 512)
    if len(head) < 68 or struct.unpack_from("<I", head, 64)[0] != _VDI_SIGNATURE:
        return None
    if len(head) < 512:
        return Finding("vdi", None, unsafe="its VDI header is cut short")
    (kind,) = struct.unpack_from("<I", head, 76)
    (virtual_size,) = struct.unpack_from("<Q", head, 368)
    unsafe = None
    if kind not in (_VDI_DYNAMIC, _VDI_FIXED) or head[440:456].strip(b"\0"):
        unsafe = "it is a VDI that needs a parent image; clone it to a full VDI first"
    return Finding("vdi", virtual_size, unsafe=unsafe)


def probe_luks(window: Window) -> Finding | None:
    """An encrypted raw disk, LUKS version 1 or 2."""
    head = window.read_at(0, 8)
    if not head.startswith(_LUKS_MAGIC):
        return None
    version = int.from_bytes(head[6:8], "big")
    unsafe = None if version in (1, 2) else f"its LUKS version {version} is not known; versions 1 and 2 are"
    return Finding("luks", window.size, unsafe=unsafe)


def probe_iso(window: Window) -> Finding | None:
    """ISO 9660 or UDF: a volume descriptor behind the 32 KiB system area."""
    if window.read_at(32 << 10, 6)[1:] not in (b"CD001", b"NSR02", b"NSR03", b"BEA01"):
        return None
    return Finding("iso", window.size)


def probe_partitions(window: Window) -> Finding | None:
    """A raw disk with a partition table, MBR or GPT.

    The signature alone also ends boot sectors of FAT and Linux kernels, so the four entries must look
    like entries: a boot flag of 0 or 0x80 each, and one used at least.
    """
    sector = window.read_at(0, 512)
    if len(sector) < 512 or sector[510:] != b"\x55\xaa":
        return None
    entries = [sector[446 + 16 * index : 462 + 16 * index] for index in range(4)]
    if any(entry[0] not in (0, 0x80) for entry in entries):
        return None
    used = [entry for entry in entries if entry[4] and entry[12:16] != b"\0\0\0\0"]
    return Finding("gpt", window.size) if used else None
