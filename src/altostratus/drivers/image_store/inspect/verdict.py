# SPDX-License-Identifier: Apache-2.0
"""From the parsers' findings to one verdict, for files and for streams."""

import os

from altostratus.contracts.image_store import DiskFacts
from altostratus.drivers.image_store.inspect.declared import why_refused
from altostratus.drivers.image_store.inspect.finding import Finding
from altostratus.drivers.image_store.inspect.microsoft import probe_vhd, probe_vhdx
from altostratus.drivers.image_store.inspect.plain import probe_iso, probe_luks, probe_partitions, probe_qed, probe_vdi
from altostratus.drivers.image_store.inspect.qcow2 import probe_qcow2
from altostratus.drivers.image_store.inspect.vmdk import probe_vmdk
from altostratus.drivers.image_store.inspect.window import FileWindow, StreamWindow, Window

DEFAULT_MAX_VIRTUAL_BYTES = 64 << 40
"""64 TiB: more than any volume here may have, and far less than what makes programs stumble."""

_PROBES = (
    probe_qcow2,
    probe_qed,
    probe_vmdk,
    probe_vdi,
    probe_vhdx,
    probe_luks,
    probe_vhd,
    probe_iso,
    probe_partitions,
)
# Content that honestly looks like two things: hybrid ISO, and a raw disk closed by the footer of a fixed VHD.
_FINE_TOGETHER = ({"iso", "gpt"}, {"vhd", "gpt"})
_EARLY_FORMATS = ("qcow2", "qed", "vdi")
_EARLY_BYTES = 64 << 10


def inspect_file(path: str, *, max_virtual_bytes: int = DEFAULT_MAX_VIRTUAL_BYTES) -> DiskFacts:
    """Facts of a local file; reads at most about 2 MiB of it. Raises `OSError` if it cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _judge(FileWindow(descriptor), max_virtual_bytes)
    finally:
        os.close(descriptor)


class StreamInspector:
    """Looks at data while it passes; keeps at most 5 MiB of it."""

    def __init__(self, *, max_virtual_bytes: int = DEFAULT_MAX_VIRTUAL_BYTES) -> None:
        self._window = StreamWindow()
        self._max_virtual_bytes = max_virtual_bytes

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, in order, in pieces of any size."""
        self._window.feed(chunk)

    def early_facts(self) -> DiskFacts | None:
        """Facts that no later byte can change, or None if it is too early to say.

        Meant for ending a hopeless upload after 64 KiB instead of at its end.
        """
        if self._window.size < _EARLY_BYTES:
            return None
        facts = _judge(self._window, self._max_virtual_bytes)
        return facts if facts.format in _EARLY_FORMATS else None

    def facts(self) -> DiskFacts:
        """Facts of all bytes seen so far, taken as the whole image."""
        return _judge(self._window, self._max_virtual_bytes)


class HeaderInspector:
    """`contracts.image_store.DiskInspector` with a limit on virtual sizes."""

    def __init__(self, *, max_virtual_bytes: int = DEFAULT_MAX_VIRTUAL_BYTES) -> None:
        self._max_virtual_bytes = max_virtual_bytes

    def inspect_file(self, path: str) -> DiskFacts:
        return inspect_file(path, max_virtual_bytes=self._max_virtual_bytes)

    def why_refused(self, declared_format: str, facts: DiskFacts) -> str | None:
        return why_refused(declared_format, facts)


def _judge(window: Window, max_virtual_bytes: int) -> DiskFacts:
    findings = [finding for probe in _PROBES if (finding := probe(window)) is not None]
    first = findings[0] if findings else Finding("raw", window.size)
    names = [finding.format for finding in findings]
    unsafe = next((finding.unsafe for finding in findings if finding.unsafe), None)
    if unsafe is None and len(names) > 1 and set(names) not in _FINE_TOGETHER:
        unsafe = f"its bytes look like several formats at once ({', '.join(names)})"
    size = first.virtual_size_bytes
    if unsafe is None and size is not None and size > max_virtual_bytes:
        unsafe = f"it claims a virtual size of {size} bytes; the limit is {max_virtual_bytes}"
    return DiskFacts(
        format=first.format,
        virtual_size_bytes=size,
        backing_file=first.backing_file,
        data_file=first.data_file,
        unsafe=unsafe,
        also=tuple(names[1:]),
    )
