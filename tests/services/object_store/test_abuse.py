# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, broken or wicked, on real connections: a clear refusal, nothing left, others unharmed."""

import resource
import socket
import time

import pytest

from altostratus.testing.personas import project_id

from .served import MOST_BYTES, TIMEOUT_S, Served, answer_of

BASE = f"/object-store/v1/AUTH_{project_id('blue')}"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("served")) as made:
        assert made.ask(head("PUT", "c", "Content-Length: 0"))[0] == 201
        assert made.ask(head("PUT", "c/kept", "Content-Length: 4") + b"kept")[0] == 201
        assert made.ask(head("PUT", "c/large", f"Content-Length: {MOST_BYTES}") + bytes(MOST_BYTES))[0] == 201
        yield made


@pytest.fixture
def nothing_left(served):
    """No upload left anything, and what was there is as it was."""
    yield
    wait_for(lambda: served.pending() == [])
    assert "x-container-object-count: 2\r\n" in served.ask(head("HEAD", "c"))[1]
    assert served.ask(head("GET", "c/kept"))[1].endswith("\r\n\r\nkept")


pytestmark = pytest.mark.usefixtures("nothing_left")


def head(method, path, *headers):
    lines = [f"{method} {BASE}/{path} HTTP/1.1", "Host: x", "X-Auth-Token: member", *headers, "", ""]
    return "\r\n".join(lines).encode()


def wait_for(is_so, seconds=30):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def upload(served, *parts, ends=False):
    """The answer; with `ends` the client says that nothing more comes."""
    with served.connect() as connection:
        connection.sendall(b"".join(parts))
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return answer_of(connection)


# bodies


def test_a_body_that_is_cut_off(served):
    status, text = upload(served, head("PUT", "c/kept", "Content-Length: 1000"), b"only this", ends=True)
    assert status == 499 and "9 bytes came of 1000" in text


def test_a_chunked_body_that_is_cut_off_replaces_nothing(served):
    request = head("PUT", "c/kept", "Transfer-Encoding: chunked")
    status, text = upload(served, request, b"5\r\nhello\r\n", ends=True)
    assert status == 499 and "broken off" in text


def test_a_chunked_body_that_ends_is_taken_while_others_come_and_go(served):
    for _ in range(20):
        served.connect().close()
    request = head("PUT", "c/kept", "Transfer-Encoding: chunked")
    assert upload(served, request, b"4\r\nkept\r\n0\r\n\r\n")[0] == 201


def test_a_client_that_goes_away(served):
    with served.connect() as connection:
        connection.sendall(head("PUT", "c/kept", "Content-Length: 1000000") + bytes(400_000))
        wait_for(served.pending)


def test_bytes_after_the_body_are_another_request(served):
    status, text = upload(served, head("PUT", "c/kept", "Content-Length: 4"), b"kept", b"and more\r\n\r\n")
    assert status == 201 and "HTTP/1.1 201" in text


@pytest.mark.parametrize(
    "lengths",
    [["Content-Length: 4", "Content-Length: 5"], ["Content-Length: -1"], ["Content-Length: 4x"], ["Content-Length: "]],
    ids=["two", "negative", "no-number", "empty"],
)
def test_lengths_that_cannot_be(served, lengths):
    assert upload(served, head("PUT", "c/kept", *lengths), b"1234")[0] in (0, 400)


def test_more_than_an_object_may_have(served):
    too_long = f"Content-Length: {MOST_BYTES + 1}"
    for request in (
        [head("PUT", "c/kept", too_long), bytes(MOST_BYTES + 1)],
        [head("PUT", "c/kept", too_long, "Expect: 100-continue")],
    ):
        status, text = upload(served, *request)
        assert status == 413 and "Upload it in segments" in text


def test_more_than_an_object_may_have_without_saying_so(served):
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with served.connect() as connection:
        connection.sendall(head("PUT", "c/kept", "Transfer-Encoding: chunked"))
        try:
            for _ in range(64):
                connection.sendall(chunk)
        except OSError:
            return  # refused and closed while we were sending
        assert answer_of(connection)[0] == 413


# heads


def test_many_headers(served):
    assert upload(served, head("GET", "c/kept", *(f"X-Many-{number}: x" for number in range(2000))))[0] in (400, 431)


def test_a_long_header(served):
    assert upload(served, head("GET", "c/kept", "X-Long: " + "x" * 500_000))[0] in (400, 431)


def test_a_long_path(served):
    assert upload(served, head("GET", "c/" + "x" * 60_000))[0] in (400, 414)


@pytest.mark.parametrize("path", ["c/%ff%fe", "c/%c0%ae", "c/a%00b", "c/%ed%a0%80"])
def test_names_that_are_no_text(served, path):
    assert upload(served, head("PUT", path, "Content-Length: 0"))[0] == 412


@pytest.mark.parametrize("path", ["../../../etc/passwd", "c/../../x", "c/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "%2e%2e"])
def test_ways_out_lead_nowhere(served, path):
    status, text = upload(served, head("GET", path))
    assert status in (400, 401, 403, 404) and "root:" not in text


# slow clients


def test_silent_uploads_are_ended_and_hold_up_nobody(served):
    slow = [served.connect() for _ in range(100)]
    for number, connection in enumerate(slow):
        length = (1000, 100_000)[number % 2]  # small ones are kept in memory until they are whole
        connection.sendall(head("PUT", f"c/slow-{number}", f"Content-Length: {length}") + b"a little")
    wait_for(lambda: len(served.pending()) == 50)
    started = time.monotonic()
    assert served.ask(head("GET", "c/kept"))[0] == 200
    assert time.monotonic() - started < TIMEOUT_S
    assert all(answer_of(connection)[0] in (0, 499) for connection in slow)
    for connection in slow:
        connection.close()


def test_downloads_that_nobody_takes_hold_up_nobody(served):
    slow = []
    for _ in range(40):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(head("GET", "c/large"))
        slow.append(connection)
    started = time.monotonic()
    assert served.ask(head("PUT", "c/kept", "Content-Length: 4") + b"kept")[0] == 201
    assert time.monotonic() - started < TIMEOUT_S
    time.sleep(2.5 * TIMEOUT_S)
    for connection in slow:
        connection.settimeout(30)
        got = 0
        try:
            while data := connection.recv(1 << 20):
                got += len(data)
        except ConnectionError:
            pass
        assert got < MOST_BYTES
        connection.close()


def test_a_thousand_idle_connections(served):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    idle = [served.connect() for _ in range(1000)]
    assert served.ask(head("GET", "c/kept"))[0] == 200
    assert answer_of(idle[0])[0] == 0, "they are closed"
    for connection in idle:
        connection.close()
