# SPDX-License-Identifier: Apache-2.0
"""Consoles of a real guest through the proxy: a screen over VNC, a shell over the serial line."""

import os
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.system.serial_shell import SerialShell, websocket_url
from tests.system.tenant import Tenant

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def tenant(real_cloud):
    return Tenant(real_cloud, "demo", "demo")


@pytest.fixture(scope="module")
def server(tenant):
    network = tenant.network("consoles", "10.60.0.0/24")
    made = tenant.server("screen", networks=[{"uuid": network}])
    tenant.wait(f"/compute/v2.1/servers/{made}", "server", {"active"})
    yield made
    tenant.call("DELETE", f"/compute/v2.1/servers/{made}")
    tenant.wait_gone(f"/compute/v2.1/servers/{made}")
    assert tenant.call("DELETE", f"/network/v2.0/networks/{network}").ok


def test_a_screen(real_cloud, tenant, server):
    page = tenant.console(server, "vnc", "novnc")
    with urllib.request.urlopen(page) as shown:
        assert b"noVNC" in shown.read()
    with connect(websocket_url(page), subprotocols=[Subprotocol("binary")], max_size=None) as screen:
        assert screen.recv(10) == b"RFB 003.008\n"
        screen.send(b"RFB 003.008\n")
        assert screen.recv(10) == b"\x01\x01", "one security type: none"
        screen.send(b"\x01")
        assert screen.recv(10) == bytes(4)
        screen.send(b"\x01")
        first = screen.recv(10)
        assert isinstance(first, bytes) and b"QEMU" in first
    with pytest.raises(InvalidStatus), connect(websocket_url(page)[:-1] + "g"):
        pass
    token = websocket_url(page).rpartition("=")[2]
    logs = [path for path in Path(real_cloud.paths.logs).iterdir() if path.is_file()]
    assert logs and not any(token in path.read_text() for path in logs), "a token is in a log"


def test_a_shell(tenant, server):
    shell = SerialShell(tenant.console(server))
    assert shell.run("hostname") == "screen"
    assert "10.60.0." in shell.run("ip -4 -o addr show eth0")
    shell.close()


def read_to_the_end(screen):
    while True:
        screen.recv(90)


def test_a_stopped_server_has_no_console(tenant, server):
    page = tenant.console(server, "vnc", "novnc")
    with connect(websocket_url(page), max_size=None) as screen:
        assert screen.recv(10) == b"RFB 003.008\n"
        assert tenant.act(server, {"os-stop": None}).ok
        with pytest.raises(ConnectionClosed):
            read_to_the_end(screen)
    tenant.wait(f"/compute/v2.1/servers/{server}", "server", {"shutoff"})
    with pytest.raises(InvalidStatus) as refused, connect(websocket_url(page)):
        pass
    assert refused.value.response.status_code == 409
    asked = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    path = f"/compute/v2.1/servers/{server}/remote-consoles"
    assert tenant.call("POST", path, asked, version="compute 2.6").status == 409


def test_the_proxy_has_no_privileges(real_cloud):
    pid = int(real_cloud.paths.console_pid.read_text())
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    os.kill(pid, 0)
