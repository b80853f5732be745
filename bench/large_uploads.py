# SPDX-License-Identifier: Apache-2.0
"""A client for large uploads that costs little: the kernel sends the file. wrk makes each request's text anew.

For 10 MB that took it 10 ms of the processor, a fifth of all that an upload cost; `dd`, which stands beside, has no
such costs.
"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

_TIMEOUT_S = 120


def rate_of_uploads(url: str, headers: dict[str, str], source: Path, connections: int, seconds: float) -> float:
    """Uploads of `source` a second, to names that begin with `url`. Raises RuntimeError if one is refused."""
    until = time.monotonic() + seconds
    stopped = threading.Event()

    def loop(number: int) -> int:
        done = 0
        try:
            with _Uploader(url, headers, source) as uploader:
                while time.monotonic() < until and not stopped.is_set():
                    uploader.put(f"{number}-{done}")
                    done += 1
        except BaseException:
            stopped.set()
            raise
        return done

    started = time.monotonic()
    with ThreadPoolExecutor(connections) as pool:
        count = sum(pool.map(loop, range(connections)))
    return count / (time.monotonic() - started)


class _Uploader:
    """One connection."""

    def __init__(self, url: str, headers: dict[str, str], source: Path) -> None:
        where = urlsplit(url)
        self._path, self._size = where.path, source.stat().st_size
        given = {"Host": where.netloc, "Content-Length": str(self._size)} | headers
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._file = source.open("rb")
        self._socket = socket.create_connection((where.hostname, where.port), _TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._file.close()

    def put(self, name: str) -> None:
        self._socket.sendall(f"PUT {self._path}{name} HTTP/1.1\r\n{self._headers}\r\n".encode(), socket.MSG_MORE)
        self._file.seek(0)
        if self._socket.sendfile(self._file) != self._size:
            raise RuntimeError("the connection broke off")
        reply = b""
        while b"\r\n\r\n" not in reply:
            more = self._socket.recv(65536)
            if not more:
                break
            reply += more
        status = reply.split(b" ", 2)[1:2]
        if status != [b"201"]:
            raise RuntimeError(f"refused: {reply.decode(errors='replace')}")
