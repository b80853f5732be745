# SPDX-License-Identifier: Apache-2.0
"""Who sent a body to where it was refused saw a broken connection instead: the body was not taken to its end.

By S3 even after it was mended for Swift: its refusals were answers like others.
"""

import pytest

from altostratus.testing.personas import project_id

from .served import Served, answer_of

SWIFT = f"/object-store/v1/AUTH_{project_id('blue')}/nowhere/o"
S3 = f"/object-store/s3/{project_id('blue')}:nowhere/o"
BODY = bytes(3_000_000)


@pytest.mark.parametrize(
    ("path", "token", "status"), [(SWIFT, "member", 404), (SWIFT, "member@red", 403), (S3, "", 403)]
)
def test_the_refusal_is_read(tmp_path, path, token, status):
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with Served(tmp_path) as served, served.connect() as connection:
        connection.sendall(head.encode() + BODY)
        assert answer_of(connection)[0] == status
        connection.sendall(head.encode() + BODY)
        assert answer_of(connection)[0] == status, "the connection is good for another request"
