# SPDX-License-Identifier: Apache-2.0
"""Another object store by HTTP: what is sent arrives, and trouble is told."""

import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from altostratus.contracts.object_peer import PeerError
from altostratus.drivers.object_store.http_peer import HttpPeer


class Other(BaseHTTPRequestHandler):
    """`seen` has (method, path, a header, the body) of each request."""

    seen: list

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.command, self.path, self.headers["X-Object-Meta-A"], body))
        self.send_response(301 if "moved" in self.path else 201)
        self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
        self.send_header("X-Timestamp", "1.00000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.connection.close()

    def log_message(self, *_):
        return


@pytest.fixture
def other():
    Other.seen = []
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_body_arrives_whole(other):
    data = b"x" * 1_000_000
    headers = {"Content-Length": str(len(data)), "X-Object-Meta-A": "\xc3\xbc"}
    answer = HttpPeer().request("PUT", f"{other}/v1/a/c/o%20o", headers, io.BytesIO(data))
    assert (answer.status, answer.headers["x-timestamp"]) == (201, "1.00000")
    assert Other.seen == [("PUT", "/v1/a/c/o%20o", "\xc3\xbc", data)]


def test_no_redirection_is_followed(other):
    assert HttpPeer().request("PUT", f"{other}/moved", {"Content-Length": "0"}, io.BytesIO()).status == 301
    assert [path for _, path, *_ in Other.seen] == ["/moved"]


def test_trouble(other):
    with pytest.raises(PeerError, match=r"127\.0\.0\.1"):
        HttpPeer().request("HEAD", f"{other}/o", {})
    with pytest.raises(PeerError):
        HttpPeer().request("HEAD", "http://127.0.0.1:1/o", {})
