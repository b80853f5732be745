# SPDX-License-Identifier: Apache-2.0
"""Security groups and anti-spoofing, tried from inside guests."""

import socket
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from altostratus.contracts.network import AddressPair
from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
from altostratus.drivers.network.linuxbridge.netns import call_in_netns
from altostratus.testing.network_conformance import WorldBuilder, id_of, rule
from tests.drivers.network.conftest import GuestMaker, apply
from tests.drivers.network.guests import Echo, reaches, started

pytestmark = pytest.mark.system


def test_security_groups(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    cloud.add_group("ssh", rule("ssh", "ingress", protocol="tcp", port_min=22, port_max=22))
    cloud.add_group("friends", rule("friends", "ingress", protocol="tcp", remote_group_id=id_of("callers")))
    cloud.add_group("callers")
    cloud.add_group("icmp", rule("echo", "ingress", protocol="icmp", port_min=8, port_max=0))
    cloud.add_port("target", "net-a", "10.61.1.10", "default")
    cloud.add_port("caller", "net-a", "10.61.1.11", "callers")
    apply(driver, cloud)
    target, caller = guest(cloud, "target"), guest(cloud, "caller")

    def open_ports() -> tuple[bool, bool, bool]:
        return (
            caller.pings("10.61.1.10"),
            reaches(caller.netns, "10.61.1.10", 22),
            reaches(caller.netns, "10.61.1.10", 80),
        )

    with Echo(target.netns, 22), Echo(target.netns, 80), Echo(caller.netns, 5000):
        assert open_ports() == (False, False, False)
        # what one may send out comes back as answers
        assert target.pings("10.61.1.11") is False
        cloud.add_group("callers", rule("all", "ingress", remote_ip_prefix="10.61.1.0/24"))
        apply(driver, cloud)
        assert target.pings("10.61.1.11")
        for groups, expected in (
            (["ssh"], (False, True, False)),
            (["icmp"], (True, False, False)),
            (["friends"], (False, True, True)),
            (["ssh", "icmp"], (True, True, False)),
            (["default"], (False, False, False)),
            ([], (False, False, False)),
        ):
            cloud.add_port("target", "net-a", "10.61.1.10", *groups)
            apply(driver, cloud)
            assert open_ports() == expected, groups
        # members of one's own group
        cloud.add_port("target", "net-a", "10.61.1.10", "default")
        cloud.add_port("caller", "net-a", "10.61.1.11", "default", "callers")
        apply(driver, cloud)
        assert open_ports() == (True, True, True)
        # egress is only free because a rule says so
        cloud.groups["default"] = replace(cloud.groups["default"], rules=cloud.groups["default"].rules[2:])
        cloud.add_port("caller", "net-a", "10.61.1.11", "default")
        apply(driver, cloud)
        assert open_ports() == (False, False, False)
        cloud.add_port("caller", "net-a", "10.61.1.11", port_security=False)
        cloud.add_port("target", "net-a", "10.61.1.10", port_security=False)
        apply(driver, cloud)
        assert open_ports() == (True, True, True)
        cloud.add_port("target", "net-a", "10.61.1.10", port_security=False, quarantined=True)
        apply(driver, cloud)
        assert open_ports() == (False, False, False)


def test_stateless_groups_remember_nothing(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    group = cloud.add_group("stateless")
    cloud.groups["stateless"] = replace(group, stateful=False)
    cloud.add_port("one", "net-a", "10.61.1.10", "stateless")
    cloud.add_port("two", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    one, _two = guest(cloud, "one"), guest(cloud, "two")
    assert not one.pings("10.61.1.11")
    reply = rule("reply", "ingress", protocol="icmp", port_min=0)
    cloud.groups["stateless"] = replace(cloud.groups["stateless"], rules=[*group.rules, reply])
    apply(driver, cloud)
    assert one.pings("10.61.1.11")


def test_guests_cannot_lie_about_who_they_are(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker
) -> None:
    cloud.add_port("liar", "net-a", "10.61.1.10", "open")
    cloud.add_port("victim", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    liar, victim = guest(cloud, "liar"), guest(cloud, "victim")
    assert liar.pings("10.61.1.11")
    liar.check("ip", "addr", "add", "10.61.1.99/24", "dev", "eth0")
    liar.check("ip", "addr", "add", "10.61.77.5/32", "dev", "eth0")
    victim.check("ip", "route", "add", "10.61.77.0/24", "dev", "eth0")
    for false in ("10.61.1.99", "10.61.77.5"):
        assert not liar.pings("10.61.1.11", "-I", false)
    victim.check("ip", "neigh", "flush", "all")
    liar.run("busybox", "arping", "-c1", "-w1", "-U", "-s", "10.61.1.99", "-I", "eth0", "10.61.1.11")
    assert "10.61.1.99" not in victim.check("ip", "neigh")
    # an allowed pair makes it true
    pairs = [
        AddressPair(ip_address="10.61.1.99", mac_address=""),
        AddressPair(ip_address="10.61.77.0/24", mac_address=""),
    ]
    cloud.add_port("liar", "net-a", "10.61.1.10", "open", allowed_address_pairs=pairs)
    apply(driver, cloud)
    for allowed in ("10.61.1.99", "10.61.77.5"):
        assert liar.pings("10.61.1.11", "-I", allowed), allowed
    liar.check("ip", "link", "set", "eth0", "down")
    liar.check("ip", "link", "set", "eth0", "address", "fa:16:3e:66:66:66", "up")
    victim.check("ip", "neigh", "flush", "all")
    assert not liar.pings("10.61.1.11")


def test_guests_cannot_answer_dhcp(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker, tmp_path: Path
) -> None:
    cloud.add_network("quiet", "10.61.4", dhcp=None)
    cloud.add_port("rogue", "quiet", "10.61.4.10", "open")
    cloud.add_port("asker", "quiet", "10.61.4.11", "open")
    apply(driver, cloud)
    rogue, asker = guest(cloud, "rogue"), guest(cloud, "asker", address=False)
    conf = tmp_path / "udhcpd.conf"
    conf.write_text(
        f"start 10.61.4.50\nend 10.61.4.60\ninterface eth0\nlease_file {tmp_path}/l\npidfile {tmp_path}/p\n"
    )
    (tmp_path / "l").touch()
    with started(rogue.netns, "busybox", "udhcpd", "-f", str(conf)), pytest.raises(AssertionError, match="no lease"):
        asker.dhcp(tmp_path)


class Conversation:
    """A TCP connection from one namespace to another that is held open."""

    def __init__(self, caller: str, answerer: str, address: str, port: int) -> None:
        self._listening = call_in_netns(answerer, lambda: socket.create_server(("", port)))
        self._near = call_in_netns(caller, lambda: socket.create_connection((address, port), timeout=3))
        self._far, _ = self._listening.accept()
        self._near.settimeout(0.5)
        self._far.settimeout(0.5)

    def goes_on(self) -> bool:
        """Whether a word still gets through, there and back."""
        try:
            self._near.sendall(b"word")
            self._far.recv(4)
            self._far.sendall(b"word")
            return self._near.recv(4) == b"word"
        except TimeoutError:
            return False

    def close(self) -> None:
        for one in (self._near, self._far, self._listening):
            one.close()


def test_what_is_no_longer_allowed_ends(driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker) -> None:
    ssh = rule("ssh", "ingress", protocol="tcp", port_min=22, port_max=22)
    cloud.add_group("ssh", ssh)
    cloud.add_port("target", "net-a", "10.61.1.10", "ssh")
    cloud.add_port("bystander", "net-a", "10.61.1.12", "open")
    cloud.add_port("caller", "net-a", "10.61.1.11", "open")
    apply(driver, cloud)
    target, caller, bystander = guest(cloud, "target"), guest(cloud, "caller"), guest(cloud, "bystander")
    spoken = Conversation(caller.netns, target.netns, "10.61.1.10", 22)
    other = Conversation(caller.netns, bystander.netns, "10.61.1.12", 22)
    try:
        assert spoken.goes_on()
        cloud.add_group("ssh")
        apply(driver, cloud)
        assert not spoken.goes_on()
        assert other.goes_on()
        # a connection is remembered again once it is allowed again
        cloud.add_group("ssh", ssh)
        apply(driver, cloud)
        time.sleep(1)
        assert spoken.goes_on()
    finally:
        spoken.close()
        other.close()


def test_a_floating_ip_that_is_taken_away_ends_its_connections(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, guest: GuestMaker
) -> None:
    cloud.add_port("target", "net-a", "10.61.1.10", "open")
    cloud.add_floating_ip("router", "192.168.251.50", "target")
    apply(driver, cloud)
    target = guest(cloud, "target")
    world = driver.info().world_netns
    assert world is not None
    spoken = Conversation(world, target.netns, "192.168.251.50", 7022)
    try:
        assert spoken.goes_on()
        cloud.routers["router"] = replace(cloud.routers["router"], floating_ips=[])
        apply(driver, cloud)
        assert not spoken.goes_on()
    finally:
        spoken.close()
