# SPDX-License-Identifier: Apache-2.0
"""Finds a kernel for the guest, and the modules that it needs.

The kernel is one that the distribution packs: unpacked below some directory, or the host's own. Module
dependencies are read from the modules themselves, so a package that was only unpacked (never installed, so
never seen by depmod) serves as well.
"""

import glob
import gzip
import lzma
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_MODULE_SUFFIX = re.compile(r"\.ko(\.(xz|gz|zst))?$")
# What a guest cannot do without, as a module or built in.
_REQUIRED_MODULES = ("virtio_blk", "virtio_net", "virtio_pci")
_PREFERRED_FLAVORS = ("cloud", "virtual", "kvm")


class GuestImageError(Exception):
    """Why the image cannot be built, and what to do about it; told for people."""


class GuestKernel(NamedTuple):
    """A kernel image and its modules; `modules` maps a module's name (with `_`) to its file."""

    version: str
    image_path: str
    modules_dir: str
    modules: Mapping[str, str]
    builtin: frozenset[str]


class Module(NamedTuple):
    """One kernel module, unpacked. `aliases` are the device patterns that it serves."""

    name: str
    content: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]


def find_kernel(kernel_dir: str | None, *, host_root: str = "/") -> GuestKernel:
    """The best kernel below `kernel_dir` (a root with `boot/` and `lib/modules/`), else the host's own.

    Among several: those made for clouds first, then the newest. Raises `GuestImageError`.
    """
    seen: list[str] = []
    for root in filter(None, (kernel_dir, host_root)):
        candidates = _kernels_below(root)
        seen += [candidate.version for candidate in candidates]
        usable = [candidate for candidate in candidates if _lacks(candidate) is None]
        for kernel in sorted(usable, key=_rank, reverse=True):
            if os.access(kernel.image_path, os.R_OK):
                return kernel
            seen.append(f"{kernel.version} (not readable by this user)")
    found = f" Found without use: {', '.join(seen)}." if seen else ""
    raise GuestImageError(
        "No kernel for the mini image was found. Install linux-image-cloud-amd64 (Debian) or linux-image-virtual "
        f"(Ubuntu), or unpack such a package into a directory and name it.{found}"
    )


def _kernels_below(root: str) -> list[GuestKernel]:
    kernels: list[GuestKernel] = []
    for boot in (os.path.join(root, "boot"), root):
        for path in sorted(glob.glob(os.path.join(glob.escape(boot), "vmlinuz-*"))):
            version = os.path.basename(path).removeprefix("vmlinuz-")
            for library in ("lib/modules", "usr/lib/modules"):
                modules_dir = os.path.join(root, library, version)
                if os.path.isdir(os.path.join(modules_dir, "kernel")):
                    kernels.append(_kernel(version, path, modules_dir))
                    break
    return kernels


def _kernel(version: str, image_path: str, modules_dir: str) -> GuestKernel:
    modules: dict[str, str] = {}
    for directory, _, names in os.walk(os.path.join(modules_dir, "kernel")):
        for name in names:
            if _MODULE_SUFFIX.search(name):
                modules[_module_name(name)] = os.path.join(directory, name)
    builtin: frozenset[str] = frozenset()
    listing = os.path.join(modules_dir, "modules.builtin")
    if os.path.isfile(listing):
        with open(listing, encoding="utf-8") as lines:
            builtin = frozenset(_module_name(os.path.basename(line.strip())) for line in lines)
    return GuestKernel(version, image_path, modules_dir, modules, builtin)


def _lacks(kernel: GuestKernel) -> str | None:
    return next((name for name in _REQUIRED_MODULES if name not in kernel.modules and name not in kernel.builtin), None)


def _rank(kernel: GuestKernel) -> tuple[bool, list[int]]:
    return (
        any(flavor in kernel.version for flavor in _PREFERRED_FLAVORS),
        [int(number) for number in re.findall(r"\d+", kernel.version)],
    )


def _module_name(file_name: str) -> str:
    return _MODULE_SUFFIX.sub("", file_name).replace("-", "_")


def load_modules(kernel: GuestKernel, names: Iterable[str]) -> list[Module]:
    """The named modules and what they depend on, dependencies first. Those built in are left out."""
    loaded: dict[str, Module] = {}

    def add(name: str) -> None:
        if name in loaded or name not in kernel.modules:
            return
        module = _load(name, kernel.modules[name])
        for dependency in module.depends:
            add(dependency)
        loaded[name] = module

    for name in names:
        add(name.replace("-", "_"))
    return list(loaded.values())


def _load(name: str, path: str) -> Module:
    content = _unpacked(path)
    depends = _information(content, b"depends")
    return Module(
        name=name,
        content=content,
        depends=tuple(part.replace("-", "_") for word in depends for part in word.split(",") if part),
        aliases=tuple(_information(content, b"alias")),
    )


def _unpacked(path: str) -> bytes:
    with open(path, "rb") as file:
        raw = file.read()
    if path.endswith(".xz"):
        return lzma.decompress(raw)
    if path.endswith(".gz"):
        return gzip.decompress(raw)
    if path.endswith(".zst"):
        try:
            return subprocess.run(["zstd", "-dcq"], input=raw, stdout=subprocess.PIPE, check=True).stdout
        except FileNotFoundError as error:
            raise GuestImageError("The kernel's modules are packed with zstd; install the package zstd.") from error
        except subprocess.CalledProcessError as error:
            raise GuestImageError(f"The kernel module '{path}' is damaged; install the kernel again.") from error
    return raw


def _information(content: bytes, field: bytes) -> list[str]:
    """Values of a field of the section `.modinfo`, which holds NUL-ended `field=value` texts."""
    found = re.findall(rb"(?:^|\0)" + field + rb"=([\x20-\x7e]*)(?=\0)", content)
    return [value.decode("ascii") for value in found]
