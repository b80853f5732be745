# SPDX-License-Identifier: Apache-2.0
"""The link of an agent on the control process's own host."""

import socket
from pathlib import Path

from altostratus.agents.link.client import LinkHostApi

_CONNECT_S = 5.0


class UnixHostApi(LinkHostApi):
    """`HostApi` over the Unix socket at `path`; its owner decides who may connect."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(self._connect_unix)

    def _connect_unix(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(_CONNECT_S)
            connected.connect(str(self.path))
        except BaseException:
            connected.close()
            raise
        return connected
