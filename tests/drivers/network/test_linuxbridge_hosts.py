# SPDX-License-Identifier: Apache-2.0
"""Unusual hosts: an agent that is killed at any moment, no real root, and two hosts with a tunnel."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from altostratus.drivers.network.linuxbridge import LinuxBridgeConfig, LinuxBridgeDriver
from altostratus.drivers.network.linuxbridge.netns import call_in_netns
from altostratus.testing.network_conformance import WorldBuilder
from tests.drivers.network.conftest import STATE, GuestMaker, apply, machine, make_config
from tests.drivers.network.guests import Guest, check

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[3]

PASSES_FOREVER = """
from tests.drivers.network.conftest import make_config
from tests.drivers.network.test_linuxbridge_hosts import busy_cloud
from altostratus.contracts.network import NetworkWorld
from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
driver = LinuxBridgeDriver(make_config())
print("begin", flush=True)
while True:
    driver.apply(busy_cloud().world(), resync=False)
    driver.apply(NetworkWorld(), resync=False)
"""


def busy_cloud() -> WorldBuilder:
    cloud = WorldBuilder()
    cloud.add_external()
    cloud.add_group("default")
    for number in range(3):
        cloud.add_network(f"net-{number}", f"10.62.{number}")
        cloud.add_port(f"port-{number}", f"net-{number}", f"10.62.{number}.10", "default", max_kbps_in=1000)
        cloud.add_router(
            f"router-{number}", {f"net-{number}": f"10.62.{number}.1"}, gateway=f"192.168.251.{number + 10}"
        )
    return cloud


@pytest.mark.parametrize("after_ms", [5, 20, 45, 70, 110, 160, 220])
def test_killed_in_the_middle_of_a_pass(driver: LinuxBridgeDriver, after_ms: int) -> None:
    before = machine()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-c", PASSES_FOREVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"begin\n"
        time.sleep(after_ms / 1000)
        victim.send_signal(signal.SIGKILL)
    heir = LinuxBridgeDriver(make_config())
    try:
        apply(heir, busy_cloud())
        result = heir.apply(busy_cloud().world(), resync=True)
        assert result.errors == {}
    finally:
        heir.remove_everything()
        heir.close()
    assert machine() == before


def test_without_real_root(driver: LinuxBridgeDriver, tmp_path: Path) -> None:
    inside = 'mount -t tmpfs run /run && mkdir /run/netns && ip link set lo up && exec "$@"'
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/inner"]
    tests = [f"tests/drivers/network/test_linuxbridge_{name}.py" for name in ("traffic", "security")]
    chosen = "dhcp_gives or east_west or metadata_from or security_groups"
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", inside, "sh", *suite, *tests]
    environment = {**os.environ, "ALTOSTRATUS_TEST_NETWORK_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [*command, "-k", chosen], capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


HOSTS = ("left", "right")


@pytest.fixture
def hosts(driver: LinuxBridgeDriver) -> Iterator[dict[str, LinuxBridgeDriver]]:
    """Two hosts: namespaces joined by a cable, each with a driver of its own that lives in it."""
    names = {host: f"altotest-{host}-{os.getpid()}" for host in HOSTS}
    made: dict[str, LinuxBridgeDriver] = {}
    for name in names.values():
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        left, right = names.values()
        check(left, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", right)
        for number, (host, name) in enumerate(names.items()):
            check(name, "ip", "addr", "add", f"198.18.7.{number + 1}/24", "dev", "eth0")
            check(name, "ip", "link", "set", "eth0", "up")
            config = LinuxBridgeConfig(
                cloud_tag=f"pytest{host}", state_dir=STATE / host, tunnel_ip=f"198.18.7.{number + 1}"
            )
            made[host] = call_in_netns(name, lambda config=config: LinuxBridgeDriver(config))  # type: ignore[misc]
        yield made
    finally:
        for host, one in made.items():
            call_in_netns(names[host], one.remove_everything)
            one.close()
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)


def test_a_network_over_two_hosts(hosts: dict[str, LinuxBridgeDriver], guest: GuestMaker) -> None:
    guests: list[Guest] = []
    try:
        for number, host in enumerate(HOSTS):
            cloud = WorldBuilder()
            cloud.add_group("default")
            network = cloud.add_network("shared", "10.63.0", dhcp=None)
            cloud.networks["shared"] = replace(network, vxlan_peers=[f"198.18.7.{2 - number}"])
            port = cloud.add_port(f"on-{host}", "shared", f"10.63.0.1{number}", port_security=False)
            driver = hosts[host]
            name = f"altotest-{host}-{os.getpid()}"
            for resync in (False, True):
                result = call_in_netns(name, lambda: driver.apply(cloud.world(), resync=resync))  # noqa: B023
                assert result.errors == {}
            netns = driver.info().hypervisor_netns
            assert netns is not None
            one = Guest(f"on-{host}", netns, port.tap, port.mac)
            guests.append(one)
            one.check("ip", "link", "set", "eth0", "mtu", "1450")
            one.address(f"10.63.0.1{number}/24")
        assert guests[0].pings("10.63.0.11", "-s", "1400")
    finally:
        for one in guests:
            one.close()
