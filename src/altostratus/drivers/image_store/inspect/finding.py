# SPDX-License-Identifier: Apache-2.0
"""What one format's parser says about an image."""

from typing import NamedTuple


class Finding(NamedTuple):
    """`unsafe` is None or a clause for people that completes "The image is refused: ..."."""

    format: str
    virtual_size_bytes: int | None
    backing_file: str | None = None
    data_file: str | None = None
    unsafe: str | None = None


def printable(raw: bytes) -> str:
    """Text of a name found in an image, cut to 255 characters, odd bytes replaced."""
    return "".join(c if c.isprintable() else "?" for c in raw[:255].decode("utf-8", "replace"))
