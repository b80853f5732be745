# SPDX-License-Identifier: Apache-2.0
"""Quarantine of a real guest: its pings stop and resume, its console stays open, a restart changes nothing.

Requirement: IDN-15.
"""

import time

import pytest

from tests.system.serial_shell import SerialShell
from tests.system.tenant import Tenant

pytestmark = pytest.mark.system

NEIGHBOUR = "10.61.0.2"


@pytest.fixture(scope="module")
def tenant(real_cloud):
    return Tenant(real_cloud, "demo", "demo")


@pytest.fixture(scope="module")
def network(tenant):
    made = tenant.network("ward", "10.61.0.0/24")
    yield made
    assert tenant.call("DELETE", f"/network/v2.0/networks/{made}").ok


@pytest.fixture(scope="module")
def server(tenant, network):
    made = tenant.server("patient", networks=[{"uuid": network}])
    tenant.wait(f"/compute/v2.1/servers/{made}", "server", {"active"})
    yield made
    tenant.call("DELETE", f"/compute/v2.1/servers/{made}")
    tenant.wait_gone(f"/compute/v2.1/servers/{made}")


def wait_until(shell, reached, timeout_s=20):
    """The network's DHCP server answers the guest's ping, or no longer does."""
    deadline = time.monotonic() + timeout_s
    while shell.succeeds(f"ping -c 1 -W 1 {NEIGHBOUR}") is not reached:
        assert time.monotonic() < deadline, f"{NEIGHBOUR} should {'' if reached else 'not '}answer"


def test_pings_stop_and_resume_and_the_console_works(real_cloud, tenant, server):
    shell = SerialShell(tenant.console(server))
    wait_until(shell, True)
    real_cloud.alto("server", "quarantine", "patient", "--reason", "it scans others")
    wait_until(shell, False)
    assert shell.run("hostname") == "patient"
    shell.close()
    assert tenant.act(server, {"reboot": {"type": "HARD"}}).ok
    tenant.wait(f"/compute/v2.1/servers/{server}", "server", {"active"})
    shell = SerialShell(tenant.console(server))
    assert not shell.succeeds(f"ping -c 2 -W 2 {NEIGHBOUR}"), "a reboot must not end the quarantine"
    real_cloud.alto("server", "quarantine", "patient", "--release")
    # the guest got no address while it was shut off
    shell.run("sudo ifup eth0 || sudo udhcpc -n -i eth0", timeout_s=60)
    wait_until(shell, True, 60)
    shell.close()
