# SPDX-License-Identifier: Apache-2.0
"""The linuxbridge driver carries traffic: DHCP, routers, floating IPs, metadata, limits, through real taps."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from altostratus.contracts.network import PortForwardingSpec
from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
from altostratus.testing.network_conformance import WorldBuilder, id_of, rule
from tests.drivers.network.conftest import GuestMaker, apply
from tests.drivers.network.guests import Echo, caller_seen, reaches, run, transfer_kbps

pytestmark = pytest.mark.system


def test_dhcp_gives_all_it_promised(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, tmp_path: Path
) -> None:
    cloud.add_port("one", "net-a", "10.61.1.10", "default")
    apply(driver, cloud)
    one = guest(cloud, "one", address=False)
    offered = one.dhcp(tmp_path)
    assert "dns=10.61.1.2" in offered
    assert "domain=openstacklocal" in offered
    assert "hostname=one" in offered
    assert "mtu=1450" in offered
    routes = one.check("ip", "route")
    assert "default via 10.61.1.1" in routes
    assert "169.254.169.254 via 10.61.1.1" in routes
    lease = driver.leases(id_of("net-a"))[0]
    assert (lease["ip_address"], lease["mac"], lease["hostname"]) == ("10.61.1.10", cloud.ports["one"].mac, "one")
    assert one.pings("10.61.1.1")
    assert "10.61.1.10" in one.check("busybox", "nslookup", "one.openstacklocal", "10.61.1.2")


def test_an_address_passes_to_the_next_port_at_once(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, tmp_path: Path
) -> None:
    cloud.add_port("one", "net-a", "10.61.1.10", "default")
    apply(driver, cloud)
    guest(cloud, "one", address=False).dhcp(tmp_path)
    del cloud.ports["one"]
    cloud.add_port("two", "net-a", "10.61.1.10", "default")
    apply(driver, cloud)
    two = guest(cloud, "two", address=False)
    two.dhcp(tmp_path)
    assert "10.61.1.10/24" in two.check("ip", "addr", "show", "eth0")


def test_networks_with_the_same_addresses_do_not_meet(
    driver: LinuxBridgeDriver, guest: GuestMaker, tmp_path: Path
) -> None:
    cloud = WorldBuilder()
    cloud.add_group("open", rule("open4", "ingress"))
    for side in ("left", "right"):
        cloud.add_network(side, "10.61.9")
        cloud.add_port(f"{side}-1", side, "10.61.9.11", "open")
        cloud.add_port(f"{side}-2", side, "10.61.9.12", "open")
    del cloud.ports["right-2"]
    apply(driver, cloud)
    left1, left2, right1 = (guest(cloud, name, address=False) for name in ("left-1", "left-2", "right-1"))
    for one in (left1, left2, right1):
        one.dhcp(tmp_path)
    assert left1.pings("10.61.9.12")
    assert not right1.pings("10.61.9.12")
    # a reply is only a reply on the network where somebody asked
    assert left2.pings("10.61.9.11")


@pytest.mark.system_smoke
def test_east_west_north_south(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    cloud.add_port("one", "net-a", "10.61.1.10", "open")
    cloud.add_port("two", "net-b", "10.61.2.10", "open")
    cloud.add_floating_ip("router", "192.168.251.50", "one")
    apply(driver, cloud)
    one, two = guest(cloud, "one"), guest(cloud, "two")
    world = driver.info().world_netns
    assert world is not None
    assert one.pings("10.61.2.10")
    with Echo(world, 7001), Echo(one.netns, 7002), Echo(two.netns, 7003):
        assert caller_seen(two.netns, "192.168.251.1", 7001) == "192.168.251.10"
        assert caller_seen(one.netns, "192.168.251.1", 7001) == "192.168.251.50"
        assert caller_seen(world, "192.168.251.50", 7002) == "192.168.251.1"
        # a neighbour by its floating IP, and oneself
        assert caller_seen(two.netns, "192.168.251.50", 7002) == "192.168.251.10"
        assert caller_seen(one.netns, "192.168.251.50", 7002) == "192.168.251.50"
        assert caller_seen(one.netns, "10.61.2.10", 7003) == "10.61.1.10"
        forward = PortForwardingSpec(
            id=id_of("forward"),
            floating_ip_address="192.168.251.60",
            protocol="tcp",
            external_port=8022,
            internal_ip_address="10.61.2.10",
            internal_port=7003,
        )
        router = cloud.routers["router"]
        cloud.routers["router"] = replace(router, port_forwardings=[forward], floating_ips=[])
        apply(driver, cloud)
        assert caller_seen(world, "192.168.251.60", 8022) == "192.168.251.1"
        assert caller_seen(one.netns, "192.168.251.1", 7001) == "192.168.251.10"
        assert not reaches(world, "192.168.251.50", 7002)
    argv = driver.world_command(["ping", "-c1", "-W1", "192.168.251.10"])
    # how to get to where the agent is, which is where this test is already
    inside = argv[argv.index("ip") :]
    assert subprocess.run(inside, capture_output=True, check=False).returncode == 0


def test_metadata_from_routed_and_isolated_networks(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def lookup(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request)
        return {"status": 200, "headers": {"content-type": "text/plain"}, "body_base64": "aGVsbG8="}

    driver.serve_metadata(lookup)
    cloud.add_network("alone", "10.61.3")
    cloud.add_port("one", "net-a", "10.61.1.10", "default")
    cloud.add_port("hermit", "alone", "10.61.3.10", "default")
    apply(driver, cloud)
    one, hermit = guest(cloud, "one", address=False), guest(cloud, "hermit", address=False)
    url = "http://169.254.169.254/openstack/latest/meta_data.json"
    for who in (one, hermit):
        who.dhcp(tmp_path)
        assert who.check("curl", "-s", "-m5", "-H", "X-Forwarded-For: 1.2.3.4", url) == "hello"
    assert one.check("curl", "-s", "-m5", "-d", "secret", "-o", "/dev/null", "-w", "%{http_code}", url) == "200"
    big = tmp_path / "big"
    big.write_bytes(bytes(100000))
    assert (
        one.check("curl", "-s", "-m5", "--data-binary", f"@{big}", "-o", "/dev/null", "-w", "%{http_code}", url)
        == "413"
    )
    assert seen[0]["router_id"] == id_of("router")
    assert (seen[0]["ip"], seen[0]["path"]) == ("10.61.1.10", "/openstack/latest/meta_data.json")
    assert "x-forwarded-for" not in seen[0]["headers"]
    assert (seen[1]["network_id"], seen[1]["ip"]) == (id_of("alone"), "10.61.3.10")
    assert (seen[2]["method"], seen[2]["body_base64"]) == ("POST", "c2VjcmV0")
    assert "via 10.61.3.2" in hermit.check("ip", "route", "get", "169.254.169.254")


def test_metadata_failures_are_told_kindly(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    def lookup(request: dict[str, Any]) -> dict[str, Any]:
        raise ConnectionError("control is away")

    driver.serve_metadata(lookup)
    cloud.add_port("one", "net-a", "10.61.1.10", "default")
    apply(driver, cloud)
    one = guest(cloud, "one")
    url = "http://169.254.169.254/latest/meta-data/"
    assert one.check("curl", "-s", "-m5", "-o", "/dev/null", "-w", "%{http_code}", url) == "503"


def test_bandwidth_limits(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    cloud.add_port("slow", "net-a", "10.61.1.10", "open", max_kbps_in=8000, max_kbps_out=8000)
    cloud.add_port("fast", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    slow, fast = guest(cloud, "slow"), guest(cloud, "fast")
    for sender, receiver, address in ((fast, slow, "10.61.1.10"), (slow, fast, "10.61.1.11")):
        assert 1000 < transfer_kbps(sender.netns, receiver.netns, address) < 12000
    cloud.add_port("slow", "net-a", "10.61.1.10", "open")
    apply(driver, cloud)
    hypervisor = driver.info().hypervisor_netns
    assert hypervisor is not None
    assert "tbf" not in run(hypervisor, "tc", "qdisc", "show", "dev", cloud.ports["slow"].tap).stdout
    assert not any("tbf" in line for line in run(hypervisor, "tc", "qdisc").stdout.splitlines())
