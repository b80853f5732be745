# SPDX-License-Identifier: Apache-2.0
"""The host's programs: those that go into the guest, and those that build the image."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from altostratus.guest_image.kernel import GuestImageError

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_BUILD_TOOLS = {
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "syslinux": "syslinux",
    "qemu-img": "qemu-utils",
    "ldd": "libc-bin",
    "openssl": "openssl",
}
_GUEST_PROGRAMS = {
    "bash": "bash",
    "busybox": "busybox-static",
    "dropbear": "dropbear-bin",
    "dropbearkey": "dropbear-bin",
    "mke2fs": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "blkid": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
}
_LOADER_FILES = {
    "mbr.bin": ("syslinux-common", ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/share/syslinux/mbr.bin")),
    "syslinux.efi": ("syslinux-efi", ("/usr/lib/SYSLINUX.EFI/efi64/syslinux.efi",)),
    "ldlinux.e64": ("syslinux-common", ("/usr/lib/syslinux/modules/efi64/ldlinux.e64",)),
}


class Toolbox(NamedTuple):
    """Paths on the host: `tools` build the image, `guest` programs and `loader` files go into it."""

    tools: Mapping[str, str]
    guest: Mapping[str, str]
    loader: Mapping[str, str]

    def run(self, tool: str, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
        """Run a tool to its end and return its output. Raises `GuestImageError` with its complaint."""
        done = subprocess.run(
            [self.tools[tool], *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            check=False,
        )
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise GuestImageError(f"Building the mini image failed: '{tool}' says: {last[0]}")
        return done.stdout


def find_programs() -> Toolbox:
    """Everything needed, or a `GuestImageError` that names the packages to install."""
    missing: set[str] = set()

    def find(wanted: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, package in wanted.items():
            path = shutil.which(name, path=_SEARCH_PATH)
            if path is None:
                missing.add(package)
            else:
                found[name] = path
        return found

    loader: dict[str, str] = {}
    for name, (package, paths) in _LOADER_FILES.items():
        existing = next(filter(os.path.isfile, paths), None)
        if existing is None:
            missing.add(package)
        else:
            loader[name] = existing
    toolbox = Toolbox(find(_BUILD_TOOLS), find(_GUEST_PROGRAMS), loader)
    if missing:
        raise GuestImageError(f"The mini image needs more packages: sudo apt-get install {' '.join(sorted(missing))}")
    return toolbox


def libraries_of(toolbox: Toolbox, program: str) -> list[str]:
    """Shared libraries and the loader of a program of the host, as absolute paths; none if it is static."""
    done = subprocess.run(
        [toolbox.tools["ldd"], program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
