# SPDX-License-Identifier: Apache-2.0
"""Clients of S3 ask before they send a body (`Expect: 100-continue`), and were refused without being asked for it.

Then the server took the start of their next request on the connection for that body, and answered what was left of it
with an empty 400: for Amazon's clients and small objects every thirtieth time.
"""

import pytest

from altostratus.testing.personas import project_id

from .served import Served, answer_of

PROJECT = project_id("blue")
SWIFT, S3 = f"/object-store/v1/AUTH_{PROJECT}/nowhere/o", f"/object-store/s3/{PROJECT}:nowhere/o"
BODY = b"a body"


@pytest.mark.parametrize(("path", "token", "status"), [(SWIFT, "member", 404), (S3, "", 403)])
def test_the_body_of_a_refused_client_is_asked_for(tmp_path, path, token, status):
    told = f"X-Auth-Token: {token}\r\nContent-Length: {len(BODY)}\r\nExpect: 100-continue\r\n"
    with Served(tmp_path) as served, served.connect() as connection:
        for _ in range(2):
            connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\n{told}\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
            connection.sendall(BODY)
            assert answer_of(connection)[0] == status
