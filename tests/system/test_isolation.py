# SPDX-License-Identifier: Apache-2.0
"""Two projects with the same addresses side by side, with real guests whose shells are on the serial line.

Requirements: IDN-04, NET-37, VPC-33. `left` has servers at .10 and .20, `right` one at .10.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system.serial_shell import SerialShell
from tests.system.tenant import Tenant

pytestmark = pytest.mark.system

CIDR, FIRST, SECOND, STRANGER = "10.50.0.0/24", "10.50.0.10", "10.50.0.20", "10.50.0.99"
# Counts the frames on a device that contain some bytes, until its standard input ends.
LISTENER = """
import select, socket, sys
listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
listening.bind((sys.argv[1], 0))
wanted, count = bytes.fromhex(sys.argv[2]), 0
print("listening", flush=True)
while True:
    ready = select.select([listening, sys.stdin], [], [])[0]
    if listening in ready:
        count += wanted in listening.recv(65536)
    elif sys.stdin in ready:
        break
print(count)
"""


class Listener:
    """Frames with `wanted` in them that reach a server through its tap device."""

    def __init__(self, cloud: PrivateCloud, port_id: str, wanted: bytes) -> None:
        argv = ["ip", "netns", "exec", f"alto-{cloud.paths.tag}-hv", sys.executable, "-c", LISTENER]
        self._process = subprocess.Popen(
            [*argv, f"tap{port_id[:11]}", wanted.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout and self._process.stdout.readline() == "listening\n"

    def count(self) -> int:
        shown, _ = self._process.communicate(timeout=20)
        return int(shown)


class Side:
    """One project with its network and servers."""

    def __init__(self, cloud: PrivateCloud, name: str) -> None:
        self.tenant = Tenant(cloud, name, name, "a secret of its own")
        self.network = self.tenant.network(name, CIDR)
        self.ports: dict[str, str] = {}
        self.macs: dict[str, str] = {}
        self.servers: dict[str, str] = {}
        self.shells: dict[str, SerialShell] = {}

    def boot(self, address: str) -> None:
        wanted = {"network_id": self.network, "fixed_ips": [{"ip_address": address}]}
        port = self.tenant.need("POST", "/network/v2.0/ports", {"port": wanted})["port"]
        self.ports[address], self.macs[address] = port["id"], port["mac_address"]
        name = "at-" + address.replace(".", "-")
        self.servers[address] = self.tenant.server(name, networks=[{"port": port["id"]}])

    def log_in(self, address: str) -> None:
        server = self.servers[address]
        self.tenant.wait(f"/compute/v2.1/servers/{server}", "server", {"active"}, 240)
        self.shells[address] = SerialShell(self.tenant.console(server), timeout_s=240)


def make_project(cloud: PrivateCloud, admin: Tenant, name: str) -> None:
    project = admin.need("POST", "/identity/v3/projects", {"project": {"name": name, "domain_id": "default"}})[
        "project"
    ]
    wanted = {"name": name, "password": "a secret of its own", "domain_id": "default"}
    user = admin.need("POST", "/identity/v3/users", {"user": wanted})["user"]
    role = admin.need("GET", "/identity/v3/roles?name=member")["roles"][0]
    admin.need("PUT", f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles/{role['id']}")


@pytest.fixture(scope="module")
def admin(real_cloud):
    return Tenant(real_cloud, "admin", "admin")


@pytest.fixture(scope="module")
def sides(real_cloud, admin):
    for name in ("left", "right"):
        make_project(real_cloud, admin, name)
    left, right = Side(real_cloud, "left"), Side(real_cloud, "right")
    booted = [(left, FIRST), (left, SECOND), (right, FIRST)]
    for side, address in booted:
        side.boot(address)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: one[0].log_in(one[1]), booted))
    yield left, right
    for side in (left, right):
        for address, server in side.servers.items():
            side.shells[address].close()
            side.tenant.call("DELETE", f"/compute/v2.1/servers/{server}")
        for server in side.servers.values():
            side.tenant.wait_gone(f"/compute/v2.1/servers/{server}")


def can_ping(shell: SerialShell, address: str, count: int = 3) -> bool:
    return shell.succeeds(f"ping -c {count} -W 2 {address}", 30)


def test_each_project_sees_its_own_only(sides):
    left, right = sides
    assert left.macs[FIRST] != right.macs[FIRST]
    # the default group lets its own members in
    assert can_ping(left.shells[FIRST], SECOND)
    assert left.macs[SECOND] in left.shells[FIRST].run(f"ip neigh show {SECOND}")
    # the same address in the other project: nobody
    assert not can_ping(right.shells[FIRST], SECOND)
    assert left.macs[SECOND] not in right.shells[FIRST].run("ip neigh")


def test_broadcasts_stay_in_their_network(real_cloud, sides):
    left, right = sides
    heard = Listener(real_cloud, left.ports[SECOND], bytes.fromhex(right.macs[FIRST].replace(":", "")))
    right.shells[FIRST].run(f"sudo arping -c 3 -w 4 -I eth0 {SECOND}")
    assert heard.count() == 0


def test_a_foreign_address_does_not_leave_the_port(real_cloud, sides):
    left, _ = sides
    shell, other = left.shells[FIRST], left.shells[SECOND]
    own = Listener(real_cloud, left.ports[SECOND], bytes.fromhex(left.macs[FIRST].replace(":", "")))
    heard = Listener(real_cloud, left.ports[SECOND], bytes.fromhex("0a320063"))
    shell.run(f"sudo ip addr add {STRANGER}/24 dev eth0")
    assert not shell.succeeds(f"ping -c 3 -W 1 -I {STRANGER} {SECOND}", 30)
    # announced to everybody, both as a question and as an answer
    shell.run(f"sudo arping -U -c 2 -w 3 -I eth0 {STRANGER}")
    shell.run(f"sudo arping -A -c 2 -w 3 -I eth0 {STRANGER}")
    shell.run(f"sudo ip addr del {STRANGER}/24 dev eth0")
    assert heard.count() == 0, "frames with the foreign address reached the other server"
    assert STRANGER not in other.run("ip neigh")
    assert can_ping(shell, SECOND), "its own address still works"
    assert own.count() > 0, "the listener heard nothing at all"


def test_a_foreign_mac_does_not_leave_the_port(real_cloud, sides):
    left, _ = sides
    shell = left.shells[FIRST]
    heard = Listener(real_cloud, left.ports[SECOND], bytes.fromhex("fa163e999999"))
    shell.run("sudo ip link set eth0 address fa:16:3e:99:99:99")
    assert not can_ping(shell, SECOND)
    shell.run(f"sudo ip link set eth0 address {left.macs[FIRST]}")
    assert heard.count() == 0
    assert can_ping(shell, SECOND)


def test_the_neighbours_address_cannot_be_taken(sides):
    """The classical attack: answer for a neighbour."""
    left, _ = sides
    shell, other = left.shells[FIRST], left.shells[SECOND]
    gateway = other.run("ip neigh show 10.50.0.2")
    shell.run("sudo ip addr add 10.50.0.2/24 dev eth0")
    shell.run("sudo arping -U -c 3 -w 4 -I eth0 10.50.0.2")
    shell.run("sudo ip addr del 10.50.0.2/24 dev eth0")
    assert left.macs[FIRST] not in other.run("ip neigh show 10.50.0.2"), gateway


def test_the_default_group_lets_nothing_in(real_cloud, admin, sides):
    left, _ = sides
    tenant = left.tenant
    public = {"name": "outside", "router:external": True}
    public |= {"provider:network_type": "flat", "provider:physical_network": "public"}
    found = tenant.need("GET", "/network/v2.0/networks?router:external=true")["networks"]
    if found:
        outside = found[0]["id"]
    else:
        outside = admin.need("POST", "/network/v2.0/networks", {"network": public})["network"]["id"]
        subnet = {"network_id": outside, "ip_version": 4, "cidr": "192.168.100.0/24", "gateway_ip": "192.168.100.1"}
        admin.need("POST", "/network/v2.0/subnets", {"subnet": subnet | {"enable_dhcp": False}})
    wanted = {"name": "left", "external_gateway_info": {"network_id": outside}}
    router = tenant.need("POST", "/network/v2.0/routers", {"router": wanted})["router"]["id"]
    subnet = tenant.need("GET", f"/network/v2.0/subnets?network_id={left.network}")["subnets"][0]["id"]
    tenant.need("PUT", f"/network/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    wanted = {"floating_network_id": outside, "port_id": left.ports[FIRST]}
    floating = tenant.need("POST", "/network/v2.0/floatingips", {"floatingip": wanted})["floatingip"]

    def from_outside(*argv: str) -> int:
        world = ["ip", "netns", "exec", f"alto-{real_cloud.paths.tag}-world"]
        return subprocess.run([*world, *argv], capture_output=True, timeout=30, check=False).returncode

    ping = ("ping", "-c", "1", "-W", "1", floating["floating_ip_address"])
    dial = ("timeout", "3", "bash", "-c", f"echo > /dev/tcp/{floating['floating_ip_address']}/22")
    assert can_ping(left.shells[FIRST], "192.168.100.1", 10), "the server does not get out"
    assert from_outside(*ping) != 0 and from_outside(*dial) != 0
    group = next(
        one
        for one in tenant.need("GET", "/network/v2.0/security-groups")["security_groups"]
        if one["name"] == "default"
    )
    rule = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}
    made = tenant.need("POST", "/network/v2.0/security-group-rules", {"security_group_rule": rule})[
        "security_group_rule"
    ]
    assert any(from_outside(*ping) == 0 for _ in range(10)), "the rule does not let pings in"
    assert from_outside(*dial) != 0
    tenant.need("DELETE", f"/network/v2.0/security-group-rules/{made['id']}")
    assert any(from_outside(*ping) != 0 for _ in range(10)), "the rule is gone and pings still come in"

    tenant.need("DELETE", f"/network/v2.0/floatingips/{floating['id']}")
    tenant.need("PUT", f"/network/v2.0/routers/{router}/remove_router_interface", {"subnet_id": subnet})
    tenant.need("DELETE", f"/network/v2.0/routers/{router}")


def test_ids_of_the_other_project_answer_404(sides):
    left, right = sides
    server, port = left.servers[FIRST], left.ports[FIRST]
    subnet = left.tenant.need("GET", f"/network/v2.0/subnets?network_id={left.network}")["subnets"][0]["id"]
    image = left.tenant.need(
        "POST", "/image/v2/images", {"name": "own", "disk_format": "raw", "container_format": "bare"}
    )["id"]
    router = left.tenant.need("POST", "/network/v2.0/routers", {"router": {"name": "own"}})["router"]["id"]
    group = left.tenant.need("POST", "/network/v2.0/security-groups", {"security_group": {"name": "own"}})
    group = group["security_group"]["id"]
    keypair = "/compute/v2.1/os-keypairs/own"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMwlV8QF1d7oZ6ZxkPhz4ckT7jGz3OJr0lYcm0ZTBd3E own"
    left.tenant.need("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "own", "public_key": key}})
    paths = [
        f"/compute/v2.1/servers/{server}",
        f"/network/v2.0/networks/{left.network}",
        f"/network/v2.0/subnets/{subnet}",
        f"/network/v2.0/ports/{port}",
        f"/network/v2.0/routers/{router}",
        f"/network/v2.0/security-groups/{group}",
        f"/image/v2/images/{image}",
        keypair,
    ]
    tenant = right.tenant
    for path in paths:
        assert left.tenant.call("GET", path).ok, path
        assert tenant.call("GET", path).status == 404, path
        assert tenant.call("DELETE", path).status == 404, path
    at = f"/compute/v2.1/servers/{server}"
    for below in (
        "ips",
        "metadata",
        "os-interface",
        "os-volume_attachments",
        "os-instance-actions",
        "os-security-groups",
    ):
        assert tenant.call("GET", f"{at}/{below}").status == 404, below
    actions: list[dict[str, Any]] = [
        {"os-stop": None},
        {"reboot": {"type": "HARD"}},
        {"os-getConsoleOutput": {}},
        {"lock": None},
    ]
    for action in actions:
        assert tenant.act(server, action).status == 404, action
    asked = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    assert tenant.call("POST", f"{at}/remote-consoles", asked, version="compute 2.6").status == 404
    assert tenant.call("PUT", at, {"server": {"name": "mine"}}).status == 404
    for many, path in (
        ("servers", "/compute/v2.1/servers"),
        ("networks", "/network/v2.0/networks"),
        ("ports", "/network/v2.0/ports"),
    ):
        foreign = {one["id"] for one in left.tenant.need("GET", path)[many]}
        own = {one["id"] for one in tenant.need("GET", path)[many]}
        shared = {one["id"] for one in tenant.need("GET", "/network/v2.0/networks?router:external=true")["networks"]}
        assert not (own & foreign) - shared, many
    wanted = {
        "name": "x",
        "imageRef": tenant.image(),
        "flavorRef": tenant.flavor(),
        "networks": [{"uuid": left.network}],
    }
    refused = tenant.call("POST", "/compute/v2.1/servers", {"server": wanted})
    assert 400 <= refused.status < 500, refused
    for path in (
        f"/image/v2/images/{image}",
        f"/network/v2.0/routers/{router}",
        keypair,
        f"/network/v2.0/security-groups/{group}",
    ):
        assert left.tenant.call("DELETE", path).ok, path
