# SPDX-License-Identifier: Apache-2.0
"""The disk files of one server: made, grown, thrown away; and the block nodes that stand for them."""

import os
import shutil
import subprocess
from pathlib import Path

from altostratus.contracts.hypervisor import DiskSpec, HypervisorError

from . import images
from .devices import Properties, disk_id, file_node, format_node, node_name
from .images import GIB, ImageCache
from .record import LocalDisk, Record, ServerFiles

_MIB = 1 << 20
_MAKERS = {
    "ext2": ("mke2fs", "-q", "-F", "-t", "ext2", "-L"),
    "ext3": ("mke2fs", "-q", "-F", "-t", "ext3", "-L"),
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4", "-L"),
    "vfat": ("mkfs.vfat", "-n"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-L"),
    "swap": ("mkswap", "-L"),
}


def wanted_bytes(disk: DiskSpec) -> int:
    return disk.size_gib * GIB or disk.size_mib * _MIB


def is_optical(disk: DiskSpec) -> bool:
    """An ISO image is given to the guest as it is, read only: there is no overlay."""
    return disk.source == "image" and disk.image is not None and disk.image.format == "iso"


def ensure_disk(cache: ImageCache, files: ServerFiles, record: Record, disk: DiskSpec) -> None:
    """The file of a disk that no guest has open. Raises HypervisorError."""
    if disk.source == "volume":
        _ensure_volume(disk)
        return
    origin = disk.image.checksum if disk.source == "image" and disk.image is not None else disk.guest_format
    known = record.local_disks.get(disk.serial)
    if known is not None and (known.fill_token, known.origin) == (disk.fill_token, origin):
        if known.base is None or (cache.directory / known.base).exists():
            path = files.directory / known.file
            if path.exists():
                _grow_local(path, known, disk)
                return
        else:
            raise HypervisorError(f"The base image {known.base} of disk {disk.device} is lost.", final=True)
    if disk.source == "image":
        made = _make_overlay(cache, files, record, disk)
    else:
        made = _make_blank(files, disk)
    record.local_disks[disk.serial] = made
    files.store(record)


def _make_overlay(cache: ImageCache, files: ServerFiles, record: Record, disk: DiskSpec) -> LocalDisk:
    image = disk.image
    if image is None:
        raise HypervisorError(f"Disk {disk.device} is to be made from an image, but none is named.", final=True)
    with cache.pinned(image) as base:
        optical = is_optical(disk)
        size = wanted_bytes(disk) or base.size_bytes
        if size < base.size_bytes and not optical:
            raise HypervisorError(
                f"Image {image.id} needs a disk of {-(-base.size_bytes // GIB)} GiB, but the flavor gives "
                f"{disk.size_gib} GiB. Choose a larger flavor.",
                final=True,
            )
        made = LocalDisk(
            file="" if optical else f"{disk_id(disk.serial)}.qcow2",
            format=base.driver if optical else "qcow2",
            base=base.path.name,
            base_format=base.driver,
            fill_token=disk.fill_token,
            origin=image.checksum,
        )
        path = files.directory / made.file
        if not optical:
            # Before the record speaks of the new content, the old must not be there to be taken for it.
            path.unlink(missing_ok=True)
        # Recorded while the base is pinned, so that pruning sees the claim before the pin is gone.
        record.local_disks[disk.serial] = made
        files.store(record)
        if not optical:
            temporary = path.with_suffix(".part")
            images.create_overlay(temporary, base, size)
            temporary.replace(path)
        return made


def _make_blank(files: ServerFiles, disk: DiskSpec) -> LocalDisk:
    size = wanted_bytes(disk)
    if size <= 0:
        raise HypervisorError(f"Disk {disk.device} has no size.", final=True)
    format = "raw" if disk.guest_format else "qcow2"
    path = files.disk(disk_id(disk.serial), format)
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    if disk.guest_format:
        with temporary.open("wb") as file:
            file.truncate(size)
        _make_filesystem(temporary, disk.guest_format)
    else:
        images.create_empty(temporary, format, size)
    temporary.replace(path)
    return LocalDisk(path.name, format, None, None, disk.fill_token, disk.guest_format)


def _make_filesystem(path: Path, kind: str) -> None:
    maker = _MAKERS.get(kind)
    if maker is None:
        raise HypervisorError(
            f"Disks cannot be formatted as {kind!r}; known: {', '.join(sorted(_MAKERS))}.", final=True
        )
    # The sbin directories are missing in the PATH of ordinary users.
    tool = shutil.which(maker[0]) or shutil.which(maker[0], path="/usr/sbin:/sbin")
    if tool is None:
        raise HypervisorError(f"{maker[0]} is not installed, so a {kind} disk cannot be made.", final=True)
    label = "swap" if kind == "swap" else "ephemeral0"
    done = subprocess.run(
        [tool, *maker[1:], label, os.fspath(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HypervisorError(f"{maker[0]} failed: {done.stderr.strip()[-300:]}")


def _grow_local(path: Path, known: LocalDisk, disk: DiskSpec) -> None:
    wanted = wanted_bytes(disk)
    if known.base is not None and not known.file:
        return
    if wanted and images.virtual_size(path, known.format) < wanted:
        images.resize(path, known.format, wanted)


def _ensure_volume(disk: DiskSpec) -> None:
    path, driver = disk.volume_path, disk.volume_format
    if not path or driver not in {"qcow2", "raw"}:
        raise HypervisorError(f"Volume {disk.volume_id} has no usable path or format for this host.", final=True)
    if not os.path.exists(path):
        raise HypervisorError(f"Volume {disk.volume_id} is not on this host yet ({path}).")
    if driver == "qcow2":
        images.refuse_outside_files(Path(path), driver, f"Volume {disk.volume_id}")
    wanted = disk.size_gib * GIB
    if wanted and not disk.read_only and images.virtual_size(Path(path), driver) < wanted:
        images.resize(Path(path), driver, wanted)


def drop_unused(files: ServerFiles, record: Record, wanted: list[DiskSpec]) -> None:
    """Delete local disks that the server no longer has."""
    serials = {disk.serial for disk in wanted}
    for serial in [serial for serial in record.local_disks if serial not in serials]:
        known = record.local_disks.pop(serial)
        files.store(record)
        if known.file:
            (files.directory / known.file).unlink(missing_ok=True)


def disk_node(cache: ImageCache, files: ServerFiles, record: Record, disk: DiskSpec) -> Properties:
    """The block node of a disk, named `node_name(serial)`."""
    read_only = disk.read_only or disk.device_type == "cdrom"
    if disk.source == "volume":
        assert disk.volume_path is not None and disk.volume_format is not None
        file = file_node(disk.volume_path, read_only=read_only)
        node = format_node(disk.volume_format, file, None, read_only=read_only)
    else:
        known = record.local_disks[disk.serial]
        base = None
        if known.base is not None and known.base_format is not None:
            below = file_node(os.fspath(cache.directory / known.base), read_only=True, shared=True)
            base = format_node(known.base_format, below, None, read_only=True)
        if base is not None and not known.file:
            node = base
        else:
            file = file_node(os.fspath(files.directory / known.file), read_only=read_only)
            node = format_node(known.format, file, base, read_only=read_only)
    return {**node, "node-name": node_name(disk.serial)}


def root_disk(disks: list[DiskSpec]) -> DiskSpec | None:
    """The disk that the server boots from."""
    bootable = [disk for disk in disks if disk.boot_index is not None and disk.boot_index >= 0]
    return min(bootable, key=lambda disk: disk.boot_index or 0) if bootable else next(iter(disks), None)
