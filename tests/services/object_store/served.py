# SPDX-License-Identifier: Apache-2.0
"""An object store on disks behind the real HTTP server, in a process of its own, for what only happens on sockets."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from altostratus.app.clients import Clients
from altostratus.app.options import CloudOptions
from altostratus.app.supervisor import make_server
from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.embedded import EmbeddedStore
from altostratus.kernel.config import Settings
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud

TIMEOUT_S = 1.5
MOST_BYTES = 3_000_000


def _options():
    return CloudOptions(port=int(os.environ["SERVED_PORT"]), api_threads=4, client_timeout_s=TIMEOUT_S)


def build():
    """What the server calls in its worker."""
    directory = Path(os.environ["SERVED_DIRECTORY"])
    store = EmbeddedStore(directory / "disks")
    limits = ObjectStoreOptions(max_object_bytes=MOST_BYTES)

    def prepare(cloud):
        cloud.add_part(ObjectStore, store)

    made = TestCloud(directory, services=(SERVICE,), settings=Settings([limits]), prepare=prepare)
    clients = Clients(made.app, _options())
    clients.start()
    return clients


class Served:
    """`with Served(directory) as served: served.ask(b"GET ...")`"""

    def __init__(self, directory):
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self):
        variables = {"SERVED_DIRECTORY": str(self.directory), "SERVED_PORT": str(self.port)}
        self._log = (self.directory / "served.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], env=os.environ | variables, stdout=self._log, stderr=self._log
        )
        for _ in range(600):
            try:
                self.ask(b"GET /object-store/healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise AssertionError((self.directory / "served.log").read_text())

    def __exit__(self, *_error):
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def connect(self):
        made = socket.create_connection(("127.0.0.1", self.port), 30)
        made.settimeout(30)
        return made

    def ask(self, request):
        """The status and whole text of the answer, on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            return answer_of(connection)

    def pending(self):
        """Files of uploads that are not done."""
        return [name for disk in (self.directory / "disks").glob("*/pending") for name in os.listdir(disk)]


def answer_of(connection):
    """Status (0: the connection ended) and text, the body with it."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length_of(data):
        piece = connection.recv(65536)
        if not piece:
            return 0, data.decode()
        data += piece
    return int(data.split()[1]), data.decode("utf-8", "replace")


def _length_of(data):
    found = re.search(rb"content-length: (\d+)", data)
    return int(found[1]) if found and not data.startswith(b"HTTP/1.1 204") else 0


if __name__ == "__main__":
    make_server(_options(), "tests.services.object_store.served:build").serve()
