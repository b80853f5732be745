# SPDX-License-Identifier: Apache-2.0
"""Writes the bootable disk: MBR, a FAT partition that BIOS and UEFI start from, and the ext4 root."""

import os
import struct
from collections.abc import Iterable

from altostratus.guest_image.programs import Toolbox
from altostratus.guest_image.tree import OWNERS

MIB = 1 << 20
SECTOR = 512
_FIRST_SECTOR = 2048
_FAT_TYPE, _LINUX_TYPE = 0x0C, 0x83
_ROOT_LABEL = "miniroot"
_ROOT_UUID = "6d696e69-726f-4f74-8000-616c746f0001"
_FIXED_TIME = "1700000000"
_COMMAND_LINE = (
    "console=tty0 console=ttyS0,115200 quiet loglevel=3 panic=5 mitigations=off tsc=reliable no_timer_check "
    "random.trust_cpu=on audit=0 nowatchdog net.ifnames=0"
)
_LOADER_CONFIG = (
    f"DEFAULT mini\nPROMPT 0\nTIMEOUT 0\nLABEL mini\n KERNEL /vmlinuz\n INITRD /initrd\n APPEND {_COMMAND_LINE}\n"
)


def write_boot_partition(path: str, kernel_image: str, initrd: bytes, toolbox: Toolbox) -> None:
    """A FAT file system with kernel, initrd and the loader for both kinds of firmware."""
    work = os.path.dirname(path)
    files = {"initrd": initrd, "syslinux.cfg": _LOADER_CONFIG.encode()}
    for name, content in files.items():
        with open(os.path.join(work, name), "wb") as file:
            file.write(content)
    needed = os.path.getsize(kernel_image) + len(initrd) + MIB
    with open(path, "wb") as file:
        # FAT16 begins at 16 MiB; a little room lets another kernel be put in by hand
        file.truncate(max(16, -(-needed // MIB) + 1) * MIB)
    environment = {"MTOOLS_SKIP_CHECK": "1", "SOURCE_DATE_EPOCH": _FIXED_TIME}
    toolbox.run("mkfs.vfat", "-n", "BOOT", "-i", "6d696e69", "-h", str(_FIRST_SECTOR), path)
    toolbox.run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT", environment=environment)
    config = os.path.join(work, "syslinux.cfg")
    for source, target in (
        (kernel_image, "vmlinuz"),
        (os.path.join(work, "initrd"), "initrd"),
        (config, "syslinux.cfg"),
        (toolbox.loader["syslinux.efi"], "EFI/BOOT/BOOTX64.EFI"),
        (toolbox.loader["ldlinux.e64"], "EFI/BOOT/ldlinux.e64"),
        (config, "EFI/BOOT/syslinux.cfg"),
    ):
        toolbox.run("mcopy", "-i", path, source, f"::/{target}", environment=environment)
    toolbox.run("syslinux", "--install", path)


def write_root_partition(path: str, root: str, size_mib: int, toolbox: Toolbox) -> None:
    """An ext4 file system with the content of the directory `root`, everything owned by the guest's root.

    It has a journal: a guest may be cut off while it grows its file system at the first boot.
    """
    toolbox.run(
        "mke2fs", "-q", "-t", "ext4", "-L", _ROOT_LABEL, "-U", _ROOT_UUID, "-m", "0", "-O", "has_journal,resize_inode",
        "-E", f"root_owner=0:0,resize=8388608,hash_seed={_ROOT_UUID}", "-d", root, path, f"{size_mib}M",
        environment={"E2FSPROGS_FAKE_TIME": _FIXED_TIME},
    )  # fmt: skip
    _set_owners(path, root, toolbox)


def _set_owners(path: str, root: str, toolbox: Toolbox) -> None:
    """`mke2fs -d` keeps the owners of the builder, who need not be root: they are set in the image itself."""
    wanted = dict.fromkeys(_names_below(root), (0, 0)) if os.getuid() or os.getgid() else {}
    wanted |= {owner.path: (owner.uid, owner.gid) for owner in OWNERS}
    script = os.path.join(os.path.dirname(path), "owners")
    with open(script, "w", encoding="utf-8") as file:
        file.writelines(
            f'set_inode_field "{name}" {field} {number}\n'
            for name, owner in wanted.items()
            for field, number in zip(("uid", "gid"), owner, strict=True)
        )
    toolbox.run("debugfs", "-w", "-f", script, path)


def _names_below(root: str) -> Iterable[str]:
    for directory, folders, files in os.walk(root):
        for name in folders + files:
            yield "/" + os.path.relpath(os.path.join(directory, name), root)


def write_disk(path: str, boot: str, root: str, toolbox: Toolbox) -> None:
    """The raw disk of both partitions, behind a master boot record."""
    boot_sectors, root_sectors = os.path.getsize(boot) // SECTOR, os.path.getsize(root) // SECTOR
    with open(toolbox.loader["mbr.bin"], "rb") as file:
        code = file.read(440).ljust(440, b"\0")
    table = _entry(0x80, _FAT_TYPE, _FIRST_SECTOR, boot_sectors)
    table += _entry(0, _LINUX_TYPE, _FIRST_SECTOR + boot_sectors, root_sectors)
    with open(path, "wb") as disk:
        disk.write(code + b"mini\0\0" + table.ljust(64, b"\0") + b"\x55\xaa")
        for source, sector in ((boot, _FIRST_SECTOR), (root, _FIRST_SECTOR + boot_sectors)):
            disk.seek(sector * SECTOR)
            with open(source, "rb") as partition:
                while chunk := partition.read(MIB):
                    disk.write(chunk)


def _entry(flag: int, kind: int, start: int, sectors: int) -> bytes:
    """One line of the partition table; the cylinder fields say "too far for cylinders"."""
    return struct.pack("<B3sB3sII", flag, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, sectors)
