# SPDX-License-Identifier: Apache-2.0
"""Runs `qemu-img`, always with explicit formats, and turns its complaints into sentences."""

import contextlib
import os
import subprocess
import threading

from altostratus.contracts.volume import VolumeError

_QEMU_FORMATS = {
    "ami": "raw",
    "ari": "raw",
    "aki": "raw",
    "gpt": "raw",
    "iso": "raw",
    "luks": "raw",
    "raw": "raw",
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "vhd": "vpc",
    "vhdx": "vhdx",
}


def qemu_format(disk_format: str) -> str:
    """QEMU's name of the image service's `disk_format`. Raises a final `VolumeError` for unknown ones."""
    if disk_format not in _QEMU_FORMATS:
        known = ", ".join(sorted(_QEMU_FORMATS))
        raise VolumeError(f"Format '{disk_format}' cannot be converted; use one of {known}.", final=True)
    return _QEMU_FORMATS[disk_format]


class QemuImg:
    """Starts `qemu-img` processes, many at once if asked from many threads, and ends them on `close`."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def create(self, path: str, format: str, size_bytes: int) -> None:
        self._run("create", "-q", "-f", format, path, str(size_bytes))

    def convert(self, source: str, source_format: str, target: str, target_format: str) -> None:
        """Copy the content, holes staying holes. The source may be in use elsewhere."""
        self._run("convert", "-U", "-W", "-f", source_format, "-O", target_format, source, target)

    def resize(self, path: str, format: str, size_bytes: int) -> None:
        self._run("resize", "-q", "-f", format, path, str(size_bytes))

    def close(self) -> None:
        """End what runs; the callers get a non-final error."""
        with self._lock:
            self._closed = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    def _run(self, *arguments: str) -> None:
        with self._lock:
            if self._closed:
                raise VolumeError("The storage agent is stopping; this is done when it runs again.")
            process = self._start(arguments)
            self._running.add(process)
        try:
            _, complaint = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode:
            raise self._error(arguments[0], process.returncode, complaint)

    @staticmethod
    def _start(arguments: tuple[str, ...]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                ["qemu-img", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise VolumeError("The program 'qemu-img' is missing; install the package qemu-utils.") from error

    @staticmethod
    def _error(verb: str, status: int, complaint: str) -> VolumeError:
        if "No space left on device" in complaint or "Disk quota exceeded" in complaint:
            return VolumeError("The disk of this back end is full. Delete volumes, or give it more space.")
        if "lock" in complaint and "Is another process using the image" in complaint:
            return VolumeError("The volume is in use by a running server; detach it or stop the server first.")
        last = complaint.strip().splitlines()[-1:] or [f"it ended with status {status}"]
        return VolumeError(f"'qemu-img {verb}' failed: {last[0]}")
