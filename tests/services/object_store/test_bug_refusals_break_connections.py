# SPDX-License-Identifier: Apache-2.0
"""Who sent a body to where it was refused saw a broken connection instead: the body was not taken to its end."""

import pytest

from altostratus.testing.personas import project_id

from .served import Served, answer_of

PATH = f"/object-store/v1/AUTH_{project_id('blue')}/nowhere/o"
BODY = bytes(3_000_000)


@pytest.mark.parametrize(("token", "status"), [("member", 404), ("member@red", 403)])
def test_the_refusal_is_read(tmp_path, token, status):
    head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with Served(tmp_path) as served, served.connect() as connection:
        connection.sendall(head.encode() + BODY)
        assert answer_of(connection)[0] == status
        connection.sendall(head.encode() + BODY)
        assert answer_of(connection)[0] == status, "the connection is good for another request"
