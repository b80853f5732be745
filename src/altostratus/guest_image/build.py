# SPDX-License-Identifier: Apache-2.0
"""Builds the mini image: no root rights, no mounts, no loop devices, a few seconds."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from altostratus.guest_image.disk import MIB, write_boot_partition, write_disk, write_root_partition
from altostratus.guest_image.kernel import GuestKernel, find_kernel
from altostratus.guest_image.programs import find_programs
from altostratus.guest_image.tree import build_initrd, build_root

_SPARE_ROOT_BYTES = 4 * MIB
Progress = Callable[[str, float], None]


class MiniImage(msgspec.Struct, frozen=True, kw_only=True):
    """The finished image. `version` changes with the kernel and with what is inside.

    `min_ram_mib` is for BIOS; UEFI firmware needs `min_ram_uefi_mib`.
    """

    path: str
    size_bytes: int
    virtual_size_bytes: int
    version: str
    kernel_version: str
    disk_format: str = "qcow2"
    container_format: str = "bare"
    min_ram_mib: int = 96
    min_ram_uefi_mib: int = 256
    min_disk_gib: int = 1
    os_distro: str = "cirros"
    user: str = "cirros"


def build_mini_image(output_path: str, kernel_dir: str | None, *, progress: Progress | None = None) -> MiniImage:
    """Write the image to `output_path`, replacing what is there only when all is done.

    `kernel_dir` is where a kernel package was unpacked; without one the host's kernel is taken. `progress`
    is given a phrase and the part of the work that is done, 0 to 1. Raises `GuestImageError`.
    """
    report = progress or (lambda phrase, done: None)
    report("looking for the programs and the kernel", 0.0)
    toolbox = find_programs()
    kernel = find_kernel(kernel_dir)
    directory = os.path.dirname(os.path.abspath(output_path))
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mini-", dir=directory) as work:
        root, boot, ext4, raw, image = (os.path.join(work, name) for name in ("root", "boot", "ext4", "raw", "image"))
        os.mkdir(root)
        report("gathering files", 0.1)
        build_root(root, kernel, toolbox)
        report("writing the boot partition", 0.3)
        write_boot_partition(boot, kernel.image_path, build_initrd(kernel, toolbox), toolbox)
        report("writing the root partition", 0.5)
        write_root_partition(ext4, root, _root_size_mib(root), toolbox)
        write_disk(raw, boot, ext4, toolbox)
        report("compressing", 0.7)
        # zlib would be five times slower, and every QEMU since 5.1 reads zstd
        toolbox.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", raw, image)
        virtual_size_bytes = os.path.getsize(raw)
        os.chmod(image, 0o644)
        os.replace(image, output_path)
    report("done", 1.0)
    return MiniImage(
        path=output_path,
        size_bytes=os.path.getsize(output_path),
        virtual_size_bytes=virtual_size_bytes,
        version=mini_image_version(kernel),
        kernel_version=kernel.version,
    )


def mini_image_version(kernel: GuestKernel) -> str:
    """Name of what an image built now would hold, such as `6.1.0-56-cloud-amd64-1f3a9c2e`."""
    digest = hashlib.sha256()
    _digest_files(resources.files("altostratus.guest_image"), digest.update)
    return f"{kernel.version}-{digest.hexdigest()[:8]}"


def _digest_files(folder: Traversable, update: Callable[[bytes], None]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir() and entry.name != "__pycache__":
            update(f"{entry.name}/".encode())
            _digest_files(entry, update)
        elif entry.is_file():
            update(f"{entry.name}\0".encode() + entry.read_bytes())


def _root_size_mib(root: str) -> int:
    """Room for the content in 4 KiB blocks, ext4's own tables, and a little to write before it grows."""
    used = 0
    for directory, folders, files in os.walk(root):
        for name in folders + files:
            status = os.lstat(os.path.join(directory, name))
            used += 4096 + -(-status.st_size // 4096) * 4096
    return -(-(used * 11 // 10 + _SPARE_ROOT_BYTES) // MIB)
