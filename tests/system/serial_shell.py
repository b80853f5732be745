# SPDX-License-Identifier: Apache-2.0
"""A guest's shell over its serial console, as a browser reaches it: no network of the guest is involved."""

import re
import time
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

USER, PASSWORD = "cirros", "gocubsgo"
_PROMPT = "ready> "


class SerialShell:
    """Logs in at once; `run` gives what the command printed. A guest may still be booting."""

    def __init__(self, url: str, *, timeout_s: float = 180) -> None:
        self._seen = ""
        self._connection: ClientConnection = connect(url, max_size=None, open_timeout=30, compression=None).__enter__()
        try:
            self._log_in(time.monotonic() + timeout_s)
        except BaseException:
            self.close()
            raise

    def _log_in(self, deadline: float) -> None:
        while True:
            assert time.monotonic() < deadline, f"no login prompt: {self._seen[-500:]!r}"
            self._send("\n")
            if self._wait_for(r"login: $", 3):
                break
        self._send(USER + "\n")
        assert self._wait_for(r"[Pp]assword: ?$", 30), self._seen[-500:]
        self._send(PASSWORD + "\n")
        assert self._wait_for(r"[$#] ?$", 30), self._seen[-500:]
        # in two halves: the echo of this line must not look like the prompt
        self._send("stty -echo cols 500; PS1='rea''dy> '\n")
        assert self._wait_for(rf"{_PROMPT}$", 15), self._seen[-500:]

    def run(self, command: str, timeout_s: float = 60) -> str:
        """Standard output and standard error, whatever the command ends with."""
        self._seen = ""
        self._send(command + "\n")
        assert self._wait_for(rf"{_PROMPT}$", timeout_s), f"{command}: {self._seen[-500:]!r}"
        return self._seen[: -len(_PROMPT)].replace("\r", "").strip()

    def succeeds(self, command: str, timeout_s: float = 60) -> bool:
        return self.run(f"{command} >/dev/null 2>&1; echo ended $?", timeout_s).endswith("ended 0")

    def _send(self, text: str) -> None:
        self._connection.send(text.encode())

    def _wait_for(self, pattern: str, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self._seen):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            try:
                data = self._connection.recv(left_s)
            except TimeoutError:
                return False
            self._seen += data.decode(errors="replace") if isinstance(data, bytes) else data
        return True

    def close(self) -> None:
        self._connection.close()


def websocket_url(page_url: str) -> str:
    """The address that noVNC connects to when it is opened at `page_url`."""
    parts = urlsplit(page_url)
    token = re.search(r"token(?:=|%3D)([0-9a-f-]+)", parts.query)
    assert token, page_url
    return f"ws://{parts.netloc}/?token={token[1]}"
