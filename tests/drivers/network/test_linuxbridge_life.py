# SPDX-License-Identifier: Apache-2.0
"""The linuxbridge driver over time: the contract, crashes, successors, and leaving no trace."""

import subprocess
import time
from pathlib import Path

import pytest

from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
from altostratus.testing.network_conformance import NetworkConformance, WorldBuilder, id_of
from tests.drivers.network.conftest import STATE, GuestMaker, apply, dnsmasq_pids, machine, make_config
from tests.drivers.network.guests import run

pytestmark = pytest.mark.system


@pytest.mark.system_smoke
class TestConformance(NetworkConformance):
    @pytest.fixture
    def driver(self, driver: LinuxBridgeDriver) -> LinuxBridgeDriver:
        return driver


def test_200_ports_in_one_pass(driver: LinuxBridgeDriver, cloud: WorldBuilder) -> None:
    apply(driver, cloud)
    for number in range(200):
        cloud.add_port(f"port-{number}", "net-a", f"10.61.1.{number + 20}", "default")
    started = time.monotonic()
    apply(driver, cloud)
    # a bound against disasters, on hosts of any speed; the true figure is a benchmark
    assert time.monotonic() - started < 60
    assert len(driver.apply(cloud.world(), resync=True).states) == len(cloud.ports) + 6


def test_a_dead_dnsmasq_is_noticed_and_replaced(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, tmp_path: Path
) -> None:
    cloud.add_port("one", "net-a", "10.61.1.10", "default")
    apply(driver, cloud)
    listed = subprocess.run(
        ["pgrep", "-f", f"{STATE}/dnsmasq/dhcp-{id_of('net-a')}"], capture_output=True, text=True, check=True
    )
    subprocess.run(["kill", "-9", *listed.stdout.split()], check=True)
    deadline = time.monotonic() + 5
    while not driver.problems() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "dnsmasq" in driver.problems()[0]
    apply(driver, cloud, resync=True)
    guest(cloud, "one", address=False).dhcp(tmp_path)


def test_a_new_agent_takes_over_and_repairs(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    cloud.add_port("one", "net-a", "10.61.1.10", "open")
    cloud.add_port("two", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    before = dnsmasq_pids()
    one, _two = guest(cloud, "one"), guest(cloud, "two")
    hypervisor = driver.info().hypervisor_netns
    assert hypervisor is not None
    driver.close()
    router = id_of("router")
    for netns, line in (
        (hypervisor, "link add tapforeign type bridge"),
        (hypervisor, f"link del vd-{id_of('net-a-dhcp')[:11]}"),
        (f"qrouter-{router}", f"addr del 10.61.1.1/24 dev qr-{id_of('router-net-a')[:11]}"),
        (f"qrouter-{router}", "route add 10.99.0.0/16 via 192.168.251.77"),
    ):
        assert run(netns, "ip", *line.split()).returncode == 0, line
    run(hypervisor, "nft", "flush", "ruleset")
    assert not one.pings("10.61.1.1")
    heir = LinuxBridgeDriver(make_config())
    try:
        apply(heir, cloud)
        assert one.pings("10.61.1.1")
        assert one.pings("10.61.1.11")
        assert one.pings("10.61.1.2")
        assert "tapforeign" not in run(hypervisor, "ip", "link").stdout
        assert "10.99.0.0" not in run(f"qrouter-{router}", "ip", "route").stdout
        # the network whose device was not touched keeps its process
        assert len(before & dnsmasq_pids()) == 2
        run(hypervisor, "ip", "netns", "del", f"qrouter-{router}")
        assert "qrouter" in heir.problems()[0]
        apply(heir, cloud, resync=True)
        assert one.pings("10.61.1.1")
    finally:
        heir.close()


def test_nothing_is_left_behind(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    before = machine()
    cloud.add_port("one", "net-a", "10.61.1.10", "open", max_kbps_out=1000)
    apply(driver, cloud)
    assert machine()["links"] == before["links"]
    driver.remove_everything()
    assert machine() == before
