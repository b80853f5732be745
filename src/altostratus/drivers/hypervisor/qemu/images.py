# SPDX-License-Identifier: Apache-2.0
"""The per-host cache of base images, and the only place that calls qemu-img.

A cached qcow2 or raw image is a hard link to the file of the image store: no bytes are copied, and the image may be
deleted from the store while guests still stand on it. Other formats are converted once.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from altostratus.contracts.hypervisor import BaseImage, HypervisorError

GIB = 1 << 30

# Image service name -> QEMU driver. `ami` and its kin are bare disk contents.
_DRIVERS = {
    "qcow2": "qcow2",
    "raw": "raw",
    "iso": "raw",
    "ami": "raw",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "vhd": "vpc",
    "vpc": "vpc",
    "vhdx": "vhdx",
    "qed": "qed",
}
_KEPT_AS_IS = {"qcow2", "raw"}
_CHECKSUM = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{7,200}")


@dataclass(frozen=True)
class CachedImage:
    path: Path
    driver: str
    size_bytes: int


class ImageCache:
    """Base images by content. Safe for many threads; one process per directory."""

    def __init__(self, directory: Path, group: int | None) -> None:
        self.directory = directory
        self._group = group
        self._lock = threading.Lock()
        self._known: dict[str, CachedImage] = {}
        self._pins: Counter[str] = Counter()
        directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def pinned(self, image: BaseImage) -> Iterator[CachedImage]:
        """The image in the cache, which `prune` leaves alone meanwhile.

        Raises HypervisorError, final if the image itself is unfit.
        """
        name = _cache_name(image)
        self._pins[name] += 1
        try:
            with self._lock:
                cached = self._known.get(name)
                if cached is None or not cached.path.exists():
                    cached = self._known[name] = self._ensure(image, name)
            yield cached
        finally:
            self._pins[name] -= 1

    def _ensure(self, image: BaseImage, name: str) -> CachedImage:
        target = self.directory / name
        driver = _DRIVERS[image.format]
        kept = "raw" if driver == "raw" else "qcow2"
        if not target.exists():
            if not os.path.exists(image.path):
                raise HypervisorError(f"The file of image {image.id} is not on this host ({image.path}).")
            refuse_outside_files(Path(image.path), driver, f"Image {image.id}")
            temporary = target.with_suffix(f".{os.getpid()}.part")
            temporary.unlink(missing_ok=True)
            if driver in _KEPT_AS_IS:
                _link_or_copy(Path(image.path), temporary)
            else:
                convert(["-f", driver, "-O", "qcow2", image.path, os.fspath(temporary)])
            if self._group is not None:
                os.chown(temporary, -1, self._group)
                temporary.chmod(temporary.stat().st_mode | 0o040)
            temporary.replace(target)
        return CachedImage(target, kept, virtual_size(target, kept))

    def prune(self, in_use: Iterable[str]) -> list[str]:
        """Remove cached images that no overlay stands on; `in_use` are file names. Returns what went."""
        used = set(in_use)
        gone = []
        with self._lock:
            for entry in self.directory.iterdir():
                if entry.suffix not in {".qcow2", ".raw", ".part"} or entry.name in used:
                    continue
                if self._pins[entry.name] > 0:
                    continue
                entry.unlink(missing_ok=True)
                self._known.pop(entry.name, None)
                gone.append(entry.name)
        return gone


def _cache_name(image: BaseImage) -> str:
    driver = _DRIVERS.get(image.format)
    if driver is None:
        known = ", ".join(sorted(_DRIVERS))
        raise HypervisorError(
            f"Image {image.id} has disk format {image.format!r}, which cannot boot here. Known: {known}.", final=True
        )
    if _CHECKSUM.fullmatch(image.checksum) is None:
        raise HypervisorError(f"Image {image.id} has no usable checksum ({image.checksum!r}).", final=True)
    # The format is part of the name: the same bytes read as raw and as qcow2 are two different disks.
    suffix = driver if driver in _KEPT_AS_IS else f"{driver}.qcow2"
    return f"{image.checksum.replace(':', '-')}.{suffix}"


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system (or one without hard links): one copy per host, so that the image may be deleted.
        shutil.copyfile(source, target)


def refuse_outside_files(path: Path, driver: str, what: str) -> None:
    """Images come from users: one that names another file would let its owner read this host's files."""
    if driver == "raw":
        return
    facts = image_info(path, driver)
    details = facts.get("format-specific", {}).get("data", {})
    outside = facts.get("backing-filename") or facts.get("full-backing-filename") or details.get("data-file")
    extents = [extent["filename"] for extent in details.get("extents", [])]
    stranger = next((name for name in extents if os.path.realpath(name) != os.path.realpath(path)), None)
    if outside or stranger:
        raise HypervisorError(
            f"{what} refers to another file ({outside or stranger}), which is not allowed. "
            "Flatten it with `qemu-img convert` and upload it again.",
            final=True,
        )


def image_info(path: Path, driver: str) -> dict[str, Any]:
    """What qemu-img says of the file read as `driver`. Raises HypervisorError (final) if it is not one."""
    done = _qemu_img(["info", "--output=json", "-U", "-f", driver, os.fspath(path)])
    facts: dict[str, Any] = json.loads(done)
    return facts


def virtual_size(path: Path, driver: str) -> int:
    """Size in bytes of the disk that a guest sees."""
    if driver == "raw":
        return -(-path.stat().st_size // 512) * 512
    return int(image_info(path, driver)["virtual-size"])


def create_overlay(path: Path, base: CachedImage, size_bytes: int) -> None:
    # -u: do not open the base; its size is known, and this is the boot path.
    words = ["create", "-q", "-u", "-f", "qcow2", "-F", base.driver, "-b", os.fspath(base.path), os.fspath(path)]
    _qemu_img([*words, str(size_bytes)])


def create_empty(path: Path, driver: str, size_bytes: int) -> None:
    _qemu_img(["create", "-q", "-f", driver, os.fspath(path), str(size_bytes)])


def resize(path: Path, driver: str, size_bytes: int) -> None:
    """Grow the file of a disk that no guest uses."""
    _qemu_img(["resize", "-q", "-f", driver, os.fspath(path), str(size_bytes)])


def convert(words: list[str]) -> None:
    _qemu_img(["convert", "-q", *words], timeout_s=3600)


def _qemu_img(words: list[str], timeout_s: float = 60) -> str:
    try:
        done = subprocess.run(
            ["qemu-img", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HypervisorError(f"qemu-img {words[0]} did not end within {timeout_s:.0f} s.") from error
    if done.returncode == 0:
        return done.stdout
    told = done.stderr.strip().removeprefix("qemu-img: ").replace("\n", " ")
    if "No space left" in told:
        raise HypervisorError(f"The disk of this host is full: {told}")
    if "lock" in told:
        raise HypervisorError(f"The disk is still in use: {told}")
    raise HypervisorError(f"qemu-img {words[0]} failed: {told}", final=True)
