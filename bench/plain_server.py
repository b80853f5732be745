# SPDX-License-Identifier: Apache-2.0
"""nginx as it comes, with the files of one directory, for comparison. On loopback, with nothing outside a directory."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CONFIG = """
daemon off;
worker_processes auto;
pid {work}/nginx.pid;
error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  server {{ listen 127.0.0.1:{port}; root {files}; }}
}}
"""


def find_nginx() -> str | None:
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")


class PlainServer:
    """`with PlainServer(files) as server: server.url`"""

    def __init__(self, files: Path) -> None:
        self._files = files
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        nginx = find_nginx()
        if nginx is None:
            raise RuntimeError("nginx is needed: apt-get install nginx-light")
        self._work = Path(tempfile.mkdtemp(prefix="alto-nginx-"))
        self._work.chmod(0o755)
        config = _CONFIG.format(work=self._work, port=self._port, files=self._files)
        (self._work / "nginx.conf").write_text(config)
        self._process = subprocess.Popen([nginx, "-c", str(self._work / "nginx.conf")], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        self._process.terminate()
        raise RuntimeError(f"nginx does not start: {(self._work / 'error.log').read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._work, ignore_errors=True)
