# SPDX-License-Identifier: Apache-2.0
"""Writes the archive that a Linux kernel unpacks as its first root file system (cpio, format `newc`)."""

import stat
from typing import NamedTuple

_END = "TRAILER!!!"


class Entry(NamedTuple):
    """A file, directory or device of the archive. `name` is relative, without a leading slash."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    return Entry(name, stat.S_IFDIR | 0o755)


def regular(name: str, content: bytes, *, executable: bool = False) -> Entry:
    return Entry(name, stat.S_IFREG | (0o755 if executable else 0o644), content)


def character_device(name: str, major: int, minor: int) -> Entry:
    return Entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))


def pack(entries: list[Entry]) -> bytes:
    """The archive; parents must come before what is in them. Owners are root, times are 0."""
    parts: list[bytes] = []
    for number, entry in enumerate([*entries, Entry(_END, 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = (
            number,
            entry.mode,
            0,
            0,
            1,
            0,
            len(entry.content),
            0,
            0,
            *entry.device,
            len(name),
            0,
        )
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        parts.append(_padded(header + name) + _padded(entry.content))
    return b"".join(parts)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
