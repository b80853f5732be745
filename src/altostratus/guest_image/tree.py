# SPDX-License-Identifier: Apache-2.0
"""Gathers the guest's root file system in a directory, and its first root file system in an archive."""

import os
import shutil
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from altostratus.guest_image import cpio
from altostratus.guest_image.kernel import GuestKernel, Module, load_modules
from altostratus.guest_image.programs import Toolbox, libraries_of

PASSWORD = "gocubsgo"
_PASSWORD_SALT = "cirros"
# In the archive: only what leads to the root disk; the second set only if the first finds none.
_EARLY_MODULES = ("virtio_pci", "virtio_blk", "ext4")
_OTHER_DISK_MODULES = ("virtio_scsi", "sd_mod", "nvme", "ahci", "ata_piix")
_ROOT_MODULES = (
    *_EARLY_MODULES,
    *_OTHER_DISK_MODULES,
    *("virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "button", "evdev", "sr_mod", "e1000", "e1000e"),
    *("isofs", "fat", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "virtiofs", "9p", "9pnet_virtio"),
    "8021q",
)
_DIRECTORIES = (
    *("boot", "dev", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "home/cirros", "etc/dropbear"),
    *("usr/bin", "usr/lib", "usr/local/bin", "var/lib/cloud", "var/log", "var/spool/cron/crontabs"),
)
# One directory for all programs: scripts may name them with any of the usual paths.
_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/bin",
    "usr/sbin": "bin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "init": "usr/bin/init",
    "var/run": "../run",
    "var/lock": "../run/lock",
    "etc/mtab": "../proc/self/mounts",
}
# Programs of the host that replace busybox's smaller ones, and further names that they go by.
_PROGRAM_NAMES = {"bash": ("sh",), "mke2fs": ("mkfs.ext2", "mkfs.ext3", "mkfs.ext4"), "e2fsck": ("fsck.ext4",)}
# The program behind `sudo`: a setpriv that runs with root's rights, and that only the group sudo may run.
_AS_ROOT = "usr/lib/guest/as-root"
_SUDO_GROUP = 27
# Busybox is made to run with root's rights: it gives them up for all but ping, su, passwd and the like.
_PROGRAM_MODE = 0o755
_MODES = {"usr/bin/busybox": 0o4755, _AS_ROOT: 0o4750}


class Owner(NamedTuple):
    """Who owns what in the guest, where it is not root."""

    path: str
    uid: int
    gid: int


OWNERS = (Owner(f"/{_AS_ROOT}", 0, _SUDO_GROUP), Owner("/home/cirros", 1000, 1000))


def build_initrd(kernel: GuestKernel, toolbox: Toolbox) -> bytes:
    """The archive with which the kernel begins: busybox, a few modules and `files/initrd/init`."""
    first = load_modules(kernel, _EARLY_MODULES)
    names = {module.name for module in first}
    second = [
        module for module in load_modules(kernel, [*_EARLY_MODULES, *_OTHER_DISK_MODULES]) if module.name not in names
    ]
    files = resources.files("altostratus.guest_image") / "files" / "initrd"
    with open(toolbox.guest["busybox"], "rb") as busybox:
        entries = [
            *map(cpio.directory, ("bin", "dev", "proc", "sys", "modules")),
            cpio.character_device("dev/console", 5, 1),
            cpio.regular("bin/busybox", busybox.read(), executable=True),
            cpio.regular("init", (files / "init").read_bytes(), executable=True),
        ]
    for order, modules in (("first", first), ("second", second)):
        entries.append(cpio.regular(f"modules/{order}", "".join(f"{module.name}\n" for module in modules).encode()))
        entries += [cpio.regular(f"modules/{module.name}.ko", module.content) for module in modules]
    return cpio.pack(entries)


def build_root(directory: str, kernel: GuestKernel, toolbox: Toolbox) -> None:
    """Fill an empty directory with the root file system. Owners are set later, inside the file system."""
    for name in _DIRECTORIES:
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    for name, target in _LINKS.items():
        os.symlink(target, os.path.join(directory, name))
    _copy_own_files(resources.files("altostratus.guest_image") / "files" / "root", directory)
    _copy_programs(directory, toolbox)
    _link_busybox(directory, toolbox)
    _write_modules(directory, kernel, load_modules(kernel, _ROOT_MODULES))
    _write_shadow(directory, toolbox)
    os.chmod(os.path.join(directory, "root"), 0o700)


def _copy_own_files(source: Traversable, target: str) -> None:
    """Text files of the package; what begins with `#!` becomes executable."""
    for entry in sorted(source.iterdir(), key=lambda item: item.name):
        path = os.path.join(target, entry.name)
        if entry.is_dir():
            os.makedirs(path, exist_ok=True)
            _copy_own_files(entry, path)
        else:
            content = entry.read_bytes()
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, 0o755 if content.startswith(b"#!") else 0o644)


def _copy_programs(directory: str, toolbox: Toolbox) -> None:
    for name, path in toolbox.guest.items():
        _copy(path, os.path.join(directory, "usr/bin", name))
        for library in libraries_of(toolbox, path):
            target = os.path.join(directory, _merged(library))
            if not os.path.exists(target):
                _copy(library, target)
        for other_name in _PROGRAM_NAMES.get(name, ()):
            os.symlink(name, os.path.join(directory, "usr/bin", other_name))
    _copy(toolbox.guest["setpriv"], os.path.join(directory, _AS_ROOT))
    for name, mode in _MODES.items():
        os.chmod(os.path.join(directory, name), mode)


def _merged(path: str) -> str:
    """`/lib/x` as `usr/lib/x`: the guest's `/lib` and `/lib64` are links into `usr`."""
    relative = path.lstrip("/")
    return relative if relative.startswith("usr/") else os.path.join("usr", relative)


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(os.path.realpath(source), target)
    os.chmod(target, _PROGRAM_MODE)


def _link_busybox(directory: str, toolbox: Toolbox) -> None:
    programs = os.path.join(directory, "usr/bin")
    for name in _applets(toolbox):
        path = os.path.join(programs, name)
        if not os.path.lexists(path):
            os.symlink("busybox", path)


def _applets(toolbox: Toolbox) -> list[str]:
    listing = Toolbox({"busybox": toolbox.guest["busybox"]}, {}, {}).run("busybox", "--list")
    return listing.decode().split()


def _write_modules(directory: str, kernel: GuestKernel, modules: list[Module]) -> None:
    """Modules in one flat directory, and the tables that busybox's modprobe reads."""
    target = os.path.join(directory, "usr/lib/modules", kernel.version)
    os.makedirs(target)
    for module in modules:
        with open(os.path.join(target, f"{module.name}.ko"), "wb") as file:
            file.write(module.content)
    present = {module.name for module in modules}
    tables = {
        "modules.dep": (
            f"{module.name}.ko:{''.join(f' {name}.ko' for name in _all_dependencies(module, modules))}\n"
            for module in modules
        ),
        "modules.alias": (f"alias {alias} {module.name}\n" for module in modules for alias in module.aliases),
        "modules.builtin": (f"kernel/{name}.ko\n" for name in sorted(kernel.builtin - present)),
    }
    for name, lines in tables.items():
        with open(os.path.join(target, name), "w", encoding="utf-8") as file:
            file.writelines(lines)


def _all_dependencies(module: Module, modules: list[Module]) -> Iterator[str]:
    """What must be loaded before a module, the nearest first, as modules.dep wants it."""
    by_name = {other.name: other for other in modules}
    seen: set[str] = set()
    pending = list(module.depends)
    while pending:
        name = pending.pop(0)
        if name in by_name and name not in seen:
            seen.add(name)
            yield name
            pending += by_name[name].depends


def _write_shadow(directory: str, toolbox: Toolbox) -> None:
    hashed = toolbox.run("openssl", "passwd", "-6", "-salt", _PASSWORD_SALT, PASSWORD).decode().strip()
    path = os.path.join(directory, "etc/shadow")
    with open(path, "w", encoding="utf-8") as file:
        words = {"root": "*", "daemon": "*", "nobody": "*", "cirros": hashed}
        file.writelines(f"{name}:{word}:19000:0:99999:7:::\n" for name, word in words.items())
    os.chmod(path, 0o600)
