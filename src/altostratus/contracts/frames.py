# SPDX-License-Identifier: Apache-2.0
"""Frames on the wire between an agent and the control process: four bytes of length, then JSON."""

import socket
import struct
from typing import Any

import msgspec

_LENGTH = struct.Struct("!I")
MAX_FRAME_BYTES = 64 * 1024 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def send_frame(connection: socket.socket, value: Any) -> None:
    data = _encode(value)
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket) -> Any:
    """The next value. Raises ConnectionError when the other side is gone or talks nonsense."""
    (length,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise ConnectionError(f"a frame of {length} bytes is more than the most of {MAX_FRAME_BYTES}")
    try:
        return _decode(_receive_exactly(connection, length))
    except msgspec.DecodeError as error:
        raise ConnectionError(f"a frame is not JSON: {error}") from error


def _receive_exactly(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionError("the connection was closed")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
