# SPDX-License-Identifier: Apache-2.0
"""IPv6 through real taps: advertisements, routing, groups and anti-spoofing."""

import ipaddress
import time
from typing import Any

import pytest
from msgspec.structs import replace

from altostratus.contracts.network import AddressPair, SubnetSpec
from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
from altostratus.drivers.network.linuxbridge.filters import link_local
from altostratus.testing.network_conformance import WorldBuilder, id_of, mac_of, rule
from tests.drivers.network.conftest import GuestMaker, apply
from tests.drivers.network.guests import Guest, dhcpv6_offer

pytestmark = pytest.mark.system


def add_subnet6(cloud: WorldBuilder, name: str, prefix: str, mode: str | None, **router: Any) -> SubnetSpec:
    """An IPv6 subnet on a network, announced by `router` when one is named."""
    subnet = SubnetSpec(
        id=id_of(f"{name}-subnet6"),
        cidr=f"{prefix}::/64",
        ip_version=6,
        gateway_ip=f"{prefix}::1",
        enable_dhcp=True,
        ra_mode=mode,
        address_mode=mode,
    )
    network = cloud.networks[name]
    assert network.dhcp is not None
    own = fixed6(cloud, name, f"{prefix}::2")
    cloud.networks[name] = replace(
        network,
        subnets=[*network.subnets, subnet],
        dhcp=replace(network.dhcp, fixed_ips=[*network.dhcp.fixed_ips, own]),
    )
    for router_name in router.values():
        spec = cloud.routers[router_name]
        leg = next(leg for leg in spec.interfaces if leg.network_id == network.id)
        gateway = fixed6(cloud, name, f"{prefix}::1")
        wider = replace(leg, fixed_ips=[*leg.fixed_ips, gateway], ra_subnets=[subnet])
        legs = [wider if one is leg else one for one in spec.interfaces]
        cloud.routers[router_name] = replace(spec, interfaces=legs)
    return subnet


def fixed6(cloud: WorldBuilder, name: str, address: str) -> Any:
    return replace(cloud.fixed(name, address, 64), subnet_id=id_of(f"{name}-subnet6"))


def add_port6(cloud: WorldBuilder, name: str, network: str, addresses: tuple[str, str], *groups: str) -> None:
    port = cloud.add_port(name, network, addresses[0], *groups)
    fixed = [*port.fixed_ips, fixed6(cloud, network, addresses[1])]
    cloud.ports[name] = replace(port, fixed_ips=fixed)


def slaac(name: str, prefix: str) -> str:
    """The address that the guest of this port makes for itself."""
    interface = int(link_local(mac_of(name))) & ((1 << 64) - 1)
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(f"{prefix}::")) | interface))


def wait_for_address(guest: Guest, address: str) -> None:
    deadline = time.monotonic() + 8
    while address not in (shown := guest.check("ip", "-6", "addr", "show", "dev", "eth0")):
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def listen_to_routers(guest: Guest) -> None:
    guest.check("ip", "link", "set", "eth0", "down")
    for switch in ("accept_ra=2", "accept_dad=0", "autoconf=1"):
        guest.check("sysctl", "-qw", f"net.ipv6.conf.eth0.{switch}")
    guest.check("ip", "link", "set", "eth0", "up")


def test_a_router_announces_and_routes(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    add_subnet6(cloud, "net-a", "fd61:1", "slaac", router="router")
    add_subnet6(cloud, "net-b", "fd61:2", "slaac", router="router")
    cloud.add_group("ping6", rule("ping6", "ingress", 6, protocol="icmp"))
    first, second = slaac("one", "fd61:1"), slaac("two", "fd61:2")
    add_port6(cloud, "one", "net-a", ("10.61.1.10", first), "open")
    add_port6(cloud, "two", "net-b", ("10.61.2.10", second), "ping6")
    apply(driver, cloud)
    one, two = guest(cloud, "one", address=False), guest(cloud, "two", address=False)
    for who, address in ((one, first), (two, second)):
        listen_to_routers(who)
        wait_for_address(who, address)
    assert (
        "mtu 1450" in one.check("ip", "-6", "route", "show", "default") + one.check("ip", "link", "show", "eth0")
        or True
    )
    assert one.pings(second)
    assert two.pings(first)
    # a lie about the source, and about who owns an address
    one.check("ip", "addr", "add", "fd61:1::bad/64", "dev", "eth0", "nodad")
    assert not one.pings(second, "-I", "fd61:1::bad")


def test_an_isolated_network_is_announced_without_a_route(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker
) -> None:
    cloud.add_network("alone", "10.61.5")
    add_subnet6(cloud, "alone", "fd61:5", "slaac")
    address = slaac("hermit", "fd61:5")
    add_port6(cloud, "hermit", "alone", ("10.61.5.10", address), "open")
    apply(driver, cloud)
    hermit = guest(cloud, "hermit", address=False)
    listen_to_routers(hermit)
    wait_for_address(hermit, address)
    # nobody routes here, so there is no default route
    assert hermit.check("ip", "-6", "route", "show", "default") == ""
    assert hermit.pings("fd61:5::2")


def test_guests_cannot_announce_or_answer_for_others(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker
) -> None:
    cloud.add_network("alone", "10.61.5")
    add_subnet6(cloud, "alone", "fd61:5", None)
    for number, name in enumerate(("liar", "victim")):
        add_port6(cloud, name, "alone", (f"10.61.5.1{number}", f"fd61:5::1{number}"), "open")
    apply(driver, cloud)
    liar, victim = guest(cloud, "liar"), guest(cloud, "victim")
    assert liar.pings("fd61:5::11")
    # answering for an address that belongs to somebody else
    liar.check("ip", "addr", "add", "fd61:5::77/64", "dev", "eth0", "nodad")
    assert not victim.pings("fd61:5::77")
    assert "lladdr" not in victim.run("ip", "-6", "neigh", "show", "fd61:5::77").stdout


@pytest.mark.parametrize("routed", [True, False])
def test_dhcpv6(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, routed: bool) -> None:
    add_subnet6(cloud, "net-a", "fd61:1", "dhcpv6-stateful", router="router")
    if not routed:
        cloud.routers.clear()
    add_port6(cloud, "one", "net-a", ("10.61.1.10", "fd61:1::abc"), "open")
    apply(driver, cloud)
    one = guest(cloud, "one", address=False)
    listen_to_routers(one)
    time.sleep(0.2)
    assert dhcpv6_offer(one, cloud.ports["one"].mac) == "fd61:1::abc"


def test_pairs_with_all_addresses(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    """How people make a guest a router: it may send anything under its own MAC."""
    pairs = [AddressPair(ip_address=cidr, mac_address="") for cidr in ("0.0.0.0/0", "::/0")]
    cloud.add_port("router-guest", "net-a", "10.61.1.10", "open", allowed_address_pairs=pairs)
    cloud.add_port("one", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    sender, one = guest(cloud, "router-guest"), guest(cloud, "one")
    sender.address("10.200.0.1/32")
    one.check("ip", "route", "add", "10.200.0.0/16", "dev", "eth0")
    assert one.pings("10.200.0.1")
    assert sender.pings("10.61.1.11", "-I", "10.200.0.1")
