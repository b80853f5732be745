# SPDX-License-Identifier: Apache-2.0
"""The console proxy before a guest that is a sham: tokens, origins, files, both directions, limits."""

import asyncio
import http.client
import logging
import os
import socket
import threading
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from altostratus.agents.link.stream import LinkDown
from altostratus.app.console_proxy import pages
from altostratus.app.console_proxy.access import is_own_page, token_of
from altostratus.app.console_proxy.proxy import ConsoleProxy, ProxyOptions
from altostratus.kernel.errors import ApiError

GOOD = "5b1f9d1c-0f3e-4c53-8f0e-2f6d1a7c9e11"
GREETING = b"RFB 003.008\n"


class Guest:
    """Greets as VNC does, then sends back whatever it is sent; `hangs_up` after the greeting if told so."""

    def __init__(self, path, *, hangs_up=False):
        self.path, self.hangs_up, self.ended = str(path), hangs_up, threading.Event()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(accepted,), daemon=True).start()

    def _converse(self, accepted):
        try:
            accepted.sendall(GREETING)
            while not self.hangs_up and (data := accepted.recv(65536)):
                accepted.sendall(data)
        except OSError:
            pass
        finally:
            accepted.close()
            self.ended.set()

    def close(self):
        self._listening.close()


@contextmanager
def running(ask, **options):
    """The port of a proxy that lives in a thread."""
    proxy = ConsoleProxy(ProxyOptions(host=options.pop("host", "here"), **options), ask)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ended = asyncio.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    async def live():
        async with proxy.serving(listening):
            ready.set()
            await ended.wait()

    port = listening.getsockname()[1]
    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(15)
        loop.close()


@pytest.fixture
def guest(tmp_path):
    made = Guest(tmp_path / "vnc")
    yield made
    made.close()


def answering(path, host="here"):
    def ask(params):
        if params["token"] != GOOD:
            raise ApiError("This console URL is unknown or has expired.", status=404)
        return {"server_id": "s1", "host": host, "socket": str(path)}

    return ask


def url(port, target=f"/?token={GOOD}"):
    return f"ws://127.0.0.1:{port}{target}"


def refusal(address, **options):
    with pytest.raises(InvalidStatus) as refused, connect(address, **options):
        pass
    return refused.value.response


@pytest.mark.parametrize("target", [f"/?token={GOOD}", f"/any/where?token={GOOD}", f"/?path=%3Ftoken%3D{GOOD}"])
def test_bytes_go_both_ways(guest, target):
    with (
        running(answering(guest.path)) as port,
        connect(url(port, target), subprotocols=[Subprotocol("binary")]) as console,
    ):
        assert console.subprotocol == "binary"
        assert console.recv(5) == GREETING
        for size in (1, 70_000, 900_000):
            sent, came = os.urandom(size), b""
            console.send(sent)
            while len(came) < size:
                came += console.recv(5, decode=False)
            assert came == sent


def test_no_subprotocol_works_as_well_and_text_is_bytes(guest):
    with running(answering(guest.path)) as port, connect(url(port)) as console:
        assert (console.subprotocol, console.recv(5)) == (None, GREETING)
        console.send("ls\n")
        assert console.recv(5) == b"ls\n"


def test_the_guest_hears_that_the_browser_has_gone(guest):
    with running(answering(guest.path)) as port:
        with connect(url(port)) as console:
            assert console.recv(5) == GREETING
        assert guest.ended.wait(5)


def test_the_browser_hears_that_the_guest_has_gone(tmp_path):
    guest = Guest(tmp_path / "vnc", hangs_up=True)
    with running(answering(guest.path)) as port, connect(url(port)) as console:
        assert console.recv(5) == GREETING
        with pytest.raises(ConnectionClosed):
            console.recv(5)
        assert console.close_reason == "The server has closed its console."
    guest.close()


def test_a_socket_that_is_gone_is_said(tmp_path):
    with running(answering(tmp_path / "gone")) as port, connect(url(port)) as console:
        with pytest.raises(ConnectionClosed):
            console.recv(5)
        assert "running?" in str(console.close_reason)


def test_an_idle_session_ends(guest):
    with running(answering(guest.path), idle_s=0.3) as port, connect(url(port)) as console:
        assert console.recv(5) == GREETING
        with pytest.raises(ConnectionClosed):
            console.recv(5)
        assert str(console.close_reason).startswith("Nothing has moved")


def test_a_socket_of_somebody_else_is_not_used(guest):
    """A guest may lay a link where its socket should be: who answers must be the guests' user."""
    with running(answering(guest.path), guest_uid=os.geteuid() + 1) as port, connect(url(port)) as console:
        with pytest.raises(ConnectionClosed):
            console.recv(5)
        assert console.close_code == 1013


def test_tokens_that_are_not_good(guest, caplog):
    caplog.set_level(logging.DEBUG)
    with running(answering(guest.path)) as port:
        for target in (
            "/",
            "/?token=",
            "/?token=bad",
            "/?path=%3Ftoken%3Dbad",
            "/?token=a%00b",
            "/?token=" + "x" * 300,
        ):
            refused = refusal(url(port, target))
            assert (refused.status_code, refused.body) == (403, b"")
        assert "expired" in str(refusal(url(port, "/?token=bad")).reason_phrase)
        with connect(url(port)) as console:
            console.recv(5)
    assert GOOD not in "".join(line.getMessage() for line in caplog.records if line.name.startswith("altostratus"))


def test_the_control_process_is_away_or_cannot_tell(guest):
    def away(_):
        raise LinkDown("gone")

    def stopped(_):
        raise ApiError("The server is stopped.\r\nX-Evil: 1", status=409)

    with running(away) as port:
        assert refusal(url(port)).status_code == 503
    with running(stopped) as port:
        refused = refusal(url(port))
        assert refused.status_code == 409 and "X-Evil" not in refused.headers
    with running(answering(guest.path, host="there")) as port:
        assert "there" in refusal(url(port)).reason_phrase


def test_limits(guest):
    with running(answering(guest.path), most_sessions_each=1) as port, connect(url(port)) as console:
        console.recv(5)
        assert refusal(url(port)).status_code == 503
    with running(answering(guest.path), most_sessions=0) as port:
        assert refusal(url(port)).status_code == 503


def test_pages_of_other_origins_are_refused(guest):
    with running(answering(guest.path)) as port:
        assert refusal(url(port), origin=Origin("http://evil.example")).status_code == 403
        with connect(url(port), origin=Origin(f"http://127.0.0.1:{port}")) as console:
            assert console.recv(5) == GREETING


@pytest.mark.parametrize(
    "origin,host,base,own",
    [
        (None, "a:6080", "", True),
        ("http://a:6080", "a:6080", "", True),
        ("http://A:6080", "a:6080", "", True),
        ("http://a", "a:80", "", True),
        ("https://a", "a:80", "", False),
        ("http://a:8780", "a:6080", "", False),
        ("http://b:6080", "a:6080", "", False),
        ("https://consoles.example", "127.0.0.1:6080", "https://consoles.example/vnc", True),
        ("null", "a:6080", "", False),
        ("null", None, "", False),
        ("http://a:x", "a:6080", "", False),
        ("", "", "", False),
    ],
)
def test_origins(origin, host, base, own):
    assert is_own_page(origin, host, base) is own


@pytest.mark.parametrize("target", ["/?token=", "?token=&x=1", "/?path=", "/?path=token", "", "/?tok=1", "/?token=%0A"])
def test_no_token(target):
    assert token_of(target) is None


@pytest.fixture
def novnc(tmp_path, monkeypatch):
    root = tmp_path / "novnc"
    (root / "core").mkdir(parents=True)
    (root / "vnc_lite.html").write_text("<title>noVNC</title>")
    (root / "vnc_auto.html").symlink_to("vnc_lite.html")
    (root / "core/rfb.js").write_text("export default 1;")
    (root / ".hidden").write_text("no")
    (tmp_path / "secret").write_text("no")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "pipe").symlink_to("/dev/zero")
    monkeypatch.setattr(pages, "PLACES", (tmp_path / "nowhere", root))
    return root


def get(port, target):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("GET", target, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_files(novnc, guest):
    with running(answering(guest.path)) as port:
        for target in ("/", "/vnc_lite.html", f"/vnc_auto.html?path=%3Ftoken%3D{GOOD}"):
            status, headers, body = get(port, target)
            assert (status, body) == (200, b"<title>noVNC</title>")
            assert headers["Content-Type"].startswith("text/html") and headers["Referrer-Policy"] == "no-referrer"
        status, headers, _ = get(port, "/core/rfb.js")
        assert (status, headers["Content-Type"]) == (200, "text/javascript")


@pytest.mark.parametrize(
    "target",
    [
        *("/../secret", "/%2e%2e/secret", "/core/..%2f..%2fsecret", "//etc/passwd", "/out", "/pipe", "/.hidden"),
        *("/core", "/a%00b", "/gone.html", "/" + "a/" * 2000),
    ],
)
def test_nothing_outside(novnc, guest, target):
    with running(answering(guest.path)) as port:
        assert get(port, target)[0] == 404


def test_without_novnc_a_page_says_how_to_get_it(tmp_path, guest, monkeypatch):
    monkeypatch.setattr(pages, "PLACES", (tmp_path,))
    with running(answering(guest.path)) as port:
        assert b"apt-get install" in get(port, "/vnc_auto.html")[2]
        assert get(port, "/core/rfb.js")[0] == 404
