# SPDX-License-Identifier: Apache-2.0
"""A real driver on this machine, cleaned away afterwards even if an earlier run was killed."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from altostratus.contracts.network import PhysicalNetwork
from altostratus.drivers.network.linuxbridge import LinuxBridgeConfig, LinuxBridgeDriver
from altostratus.testing.network_conformance import PUBLIC, WorldBuilder, id_of, rule
from tests.drivers.network.guests import Guest

# one fixed tag: a run cleans up what a killed one left behind
TAG = "pytest"
STATE = Path(os.environ.get("ALTOSTRATUS_TEST_NETWORK_STATE", "/tmp/altostratus-pytest-network"))


def make_config(state_dir: Path = STATE, tag: str = TAG) -> LinuxBridgeConfig:
    public = PhysicalNetwork(name=PUBLIC, world_addresses=["198.18.251.1/24"])
    return LinuxBridgeConfig(cloud_tag=tag, state_dir=state_dir, physical_networks=(public,))


@pytest.fixture
def driver() -> Iterator[LinuxBridgeDriver]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    driver = LinuxBridgeDriver(make_config())
    driver.remove_everything()
    remove_test_guests()
    try:
        yield driver
    finally:
        driver.remove_everything()
        driver.close()


def remove_test_guests() -> None:
    """Namespaces of guests whose test was killed."""
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if name.startswith("altotest-") and not os.path.exists(f"/proc/{name.rsplit('-', 1)[1]}"):
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def cloud() -> WorldBuilder:
    """Two tenant networks and the outside; everybody of `open` may be called by anybody."""
    builder = WorldBuilder()
    builder.add_external()
    builder.add_network("net-a", "10.61.1")
    builder.add_network("net-b", "10.61.2")
    builder.add_group("open", rule("open4", "ingress"), rule("open6", "ingress", 6))
    builder.add_group("default", rule("members", "ingress", remote_group_id=id_of("default")))
    builder.add_router("router", {"net-a": "10.61.1.1", "net-b": "10.61.2.1"}, gateway="192.168.251.10")
    return builder


def apply(driver: LinuxBridgeDriver, cloud: WorldBuilder, *, resync: bool = False) -> None:
    """A pass in which nothing goes wrong."""
    result = driver.apply(cloud.world(), resync=resync)
    assert result.errors == {}
    assert driver.problems() == []


def dnsmasq_pids() -> set[str]:
    listed = subprocess.run(["pgrep", "-f", f"conf-file={STATE}/"], capture_output=True, text=True, check=False)
    return set(listed.stdout.split())


def machine() -> dict[str, Any]:
    def of(*argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    links = [(link["ifname"], link.get("address")) for link in json.loads(of("ip", "-j", "link"))]
    ours = ("alto-pytest-", "qrouter-", "qdhcp-")
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if any(name in line for name in ours)]
    return {
        "links": links,
        "addresses": of("ip", "-br", "addr"),
        "netns": [name for name in of("ip", "netns").split() if name.startswith(ours)],
        "nft": of("nft", "list", "ruleset"),
        "mounts": mounts,
        "processes": dnsmasq_pids(),
        "state": sorted(STATE.rglob("*")) if STATE.exists() else [],
    }


GuestMaker = Callable[..., Guest]


@pytest.fixture
def guest(driver: LinuxBridgeDriver) -> Iterator[GuestMaker]:
    """`guest(builder, port_name)` plugs a guest into the port; `address=True` gives it its addresses."""
    made: list[Guest] = []

    def make(builder: WorldBuilder, name: str, *, address: bool = True) -> Guest:
        port = builder.ports[name]
        netns = driver.info().hypervisor_netns
        assert netns is not None
        one = Guest(name, netns, port.tap, port.mac)
        made.append(one)
        if address:
            one.check("ip", "link", "set", "eth0", "mtu", "1450")
            for fixed in port.fixed_ips:
                gateway = fixed.ip_address.rsplit(".", 1)[0] + ".1" if ":" not in fixed.ip_address else None
                one.address(f"{fixed.ip_address}/{fixed.prefix_length}", gateway)
        return one

    try:
        yield make
    finally:
        for one in made:
            one.close()
