# SPDX-License-Identifier: Apache-2.0
"""Kill any process at any instant: what was accepted ends done or undone, nothing leaks, nothing is stuck.

The simulated cloud runs the same processes on drivers that only pretend; it needs no privileges.
"""

import itertools
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system.conftest import can_run_guests
from tests.system.killing import Killer, kill_process, power_cut, processes_of
from tests.system.leftovers import wait_for_peace
from tests.system.tenant import Answer, Tenant

SEED = 20240229
SETTLED = {"active", "shutoff", "error"}


class Workload:
    """Lives of servers, each from its birth to its death or to the end of the test."""

    def __init__(self, cloud: PrivateCloud, lives: int) -> None:
        self.tenant, self.admin = Tenant(cloud, "demo", "demo"), Tenant(cloud, "admin", "admin")
        self.lives = lives
        self.network = self.tenant.network("crashes", "10.70.0.0/24")
        self.wrong: list[str] = []
        for path, quotas in (
            (f"/compute/v2.1/os-quota-sets/{self.tenant.project_id}", {"instances": -1, "cores": -1, "ram": -1}),
            (f"/volume/v3/{self.admin.project_id}/os-quota-sets/{self.tenant.project_id}", {"volumes": -1}),
        ):
            self.admin.need("PUT", path, {"quota_set": quotas})

    def run(self, at_once: int) -> None:
        with ThreadPoolExecutor(at_once) as pool:
            for future in [pool.submit(self.live, number) for number in range(self.lives)]:
                future.result()

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request. Refusals because something is in a wrong state are part of the game, defects are not."""
        answer = self.tenant.call(method, path, body)
        # compute answers 400, as upstream, when a volume is not yet where a detach can begin
        detaching = method == "DELETE" and "/os-volume_attachments/" in path
        volume_not_ready = detaching and answer.status == 400 and "Invalid volume: Unable to detach" in str(answer.body)
        if not answer.ok and answer.status not in (0, 404, 409, 503) and not volume_not_ready:
            self.wrong.append(f"{method} {path}: {answer.status} {answer.body}")
        return answer

    def find(self, many: str, path: str, name: str) -> str | None:
        """What an answer that got lost has made, if anything."""
        found = [one for one in self.tenant.need("GET", f"{path}?name={name}")[many] if one["name"] == name]
        return found[0]["id"] if found else None

    def live(self, number: int) -> None:
        chance = random.Random(SEED + number)
        server = self.birth(number)
        if server is None:
            return
        at = f"/compute/v2.1/servers/{server}"
        if chance.random() < 0.15:
            self.ask("DELETE", at)
            return
        shown = self.tenant.wait(at, "server", SETTLED)
        volume = self.attach(at, number, chance) if shown.get("status") == "ACTIVE" and chance.random() < 0.6 else None
        self.ask("POST", f"{at}/action", {"reboot": {"type": chance.choice(("SOFT", "HARD"))}})
        if volume and chance.random() < 0.5:
            self.ask("DELETE", f"{at}/os-volume_attachments/{volume}")
        if chance.random() < 0.7:
            self.tenant.wait(at, "server", SETTLED)
            self.ask("DELETE", at)

    def birth(self, number: int) -> str | None:
        name = f"life-{number}"
        wanted: dict[str, Any] = {"name": name, "imageRef": self.tenant.image(), "flavorRef": self.tenant.flavor()}
        wanted["networks"] = [{"uuid": self.network}]
        answer = self.ask("POST", "/compute/v2.1/servers", {"server": wanted})
        if answer.ok:
            return str(answer.body["server"]["id"])
        return self.find("servers", "/compute/v2.1/servers", name)

    def attach(self, at: str, number: int, chance: random.Random) -> str | None:
        """A volume of its own; its id if it exists."""
        name, volumes = f"volume-{number}", f"/volume/v3/{self.tenant.project_id}/volumes"
        answer = self.ask("POST", volumes, {"volume": {"name": name, "size": 1}})
        volume = answer.body["volume"]["id"] if answer.ok else self.find("volumes", volumes, name)
        if volume is None:
            return None
        self.tenant.wait(f"{volumes}/{volume}", "volume", {"available", "error"})
        self.ask("POST", f"{at}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
        if chance.random() < 0.7:
            self.tenant.wait(f"{volumes}/{volume}", "volume", {"available", "in-use", "error"})
        return str(volume)

    def clear(self) -> None:
        """Delete everything that is left, whatever its state."""
        for server in self.tenant.need("GET", "/compute/v2.1/servers")["servers"]:
            assert self.ask("DELETE", f"/compute/v2.1/servers/{server['id']}").ok
        for server in self.tenant.need("GET", "/compute/v2.1/servers")["servers"]:
            self.tenant.wait_gone(f"/compute/v2.1/servers/{server['id']}")
        volumes = f"/volume/v3/{self.tenant.project_id}/volumes"
        for volume in self.tenant.need("GET", volumes)["volumes"]:
            self.tenant.wait(f"{volumes}/{volume['id']}", "volume", {"available", "error"})
            assert self.ask("DELETE", f"{volumes}/{volume['id']}").ok
            self.tenant.wait_gone(f"{volumes}/{volume['id']}")
        assert self.ask("DELETE", f"/network/v2.0/networks/{self.network}").status == 204


@pytest.mark.system_smoke
def test_fifty_lives_on_a_simulated_host():
    with PrivateCloud(simulated=True) as cloud:
        work = Workload(cloud, lives=50)
        with Killer(cloud, SEED, pause_s=(0.2, 2.5)) as killer:
            work.run(at_once=5)
        assert killer.deaths["control"] >= 2 and killer.deaths["agent"] >= 2, killer.deaths
        wait_for_peace(work.admin, work.tenant, real=False)
        assert work.wrong == []
        work.clear()
        wait_for_peace(work.admin, work.tenant, real=False)


@pytest.mark.system_smoke
def test_everything_dies_in_the_middle_of_creates():
    """Who got an answer gets a server, whatever happened in the moment after."""
    chance = random.Random(SEED)
    with PrivateCloud(simulated=True) as cloud:
        work = Workload(cloud, lives=0)
        accepted: set[str] = set()
        for turn, others in enumerate((("agent", "control", "console"), ("agent",), ())):
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(work.birth, range(turn * 10, turn * 10 + 10)))
            time.sleep(chance.uniform(0, 0.3))
            for name in ("supervisor", *others):
                assert kill_process(cloud, name), name
            cloud.alto("up")
            accepted |= {one for one in answers if one}
        wait_for_peace(work.admin, work.tenant, real=False)
        servers = work.tenant.need("GET", "/compute/v2.1/servers/detail")["servers"]
        assert accepted == {one["id"] for one in servers if one["status"] == "ACTIVE"}
        assert work.wrong == []


@pytest.fixture
def real():
    if reason := can_run_guests():
        pytest.skip(reason)
    with PrivateCloud(simulated=False) as cloud:
        yield cloud


@pytest.mark.system
def test_lives_of_real_guests(real):
    work = Workload(real, lives=8)
    with Killer(real, SEED, pause_s=(1.0, 6.0), most=16) as killer:
        work.run(at_once=3)
    assert killer.deaths["control"] and killer.deaths["agent"], killer.deaths
    wait_for_peace(work.admin, work.tenant, real=True, timeout_s=180)
    assert work.wrong == []
    work.clear()
    wait_for_peace(work.admin, work.tenant, real=True)
    state = real.state
    real.close()
    assert not state.exists() and processes_of(real) == {}


class Street:
    """A server with a floating IP, and somebody in the world who pings it all the time."""

    def __init__(self, cloud: PrivateCloud) -> None:
        self.cloud, self.tenant, self.admin = cloud, Tenant(cloud, "demo", "demo"), Tenant(cloud, "admin", "admin")
        public = {"name": "public", "router:external": True, "provider:network_type": "flat"}
        public |= {"provider:physical_network": "public"}
        outside = self.admin.need("POST", "/network/v2.0/networks", {"network": public})["network"]["id"]
        subnet = {"network_id": outside, "ip_version": 4, "cidr": "192.168.100.0/24", "gateway_ip": "192.168.100.1"}
        self.admin.need("POST", "/network/v2.0/subnets", {"subnet": subnet | {"enable_dhcp": False}})
        inside = self.tenant.network("street", "10.71.0.0/24")
        wanted: dict[str, Any] = {"name": "street", "external_gateway_info": {"network_id": outside}}
        router = self.tenant.need("POST", "/network/v2.0/routers", {"router": wanted})["router"]["id"]
        found = self.tenant.need("GET", f"/network/v2.0/subnets?network_id={inside}")["subnets"][0]["id"]
        self.tenant.need("PUT", f"/network/v2.0/routers/{router}/add_router_interface", {"subnet_id": found})
        groups = self.tenant.need("GET", "/network/v2.0/security-groups?name=default")["security_groups"]
        rule = {"security_group_id": groups[0]["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}
        self.tenant.need("POST", "/network/v2.0/security-group-rules", {"security_group_rule": rule})
        self.server = self.tenant.server("house", networks=[{"uuid": inside}])
        self.wait_active()
        port = self.tenant.need("GET", f"/network/v2.0/ports?device_id={self.server}")["ports"][0]["id"]
        wanted = {"floating_network_id": outside, "port_id": port}
        made = self.tenant.need("POST", "/network/v2.0/floatingips", {"floatingip": wanted})["floatingip"]
        self.address = made["floating_ip_address"]

    def wait_active(self) -> None:
        self.tenant.wait(f"/compute/v2.1/servers/{self.server}", "server", {"active"}, 240)

    def ping(self, *options: str) -> "subprocess.Popen[str]":
        argv = ["ip", "netns", "exec", f"alto-{self.cloud.paths.tag}-world", "ping", *options, self.address]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def wait_ping(self, timeout_s: float = 180) -> None:
        deadline = time.monotonic() + timeout_s
        while self.ping("-c", "1", "-W", "1").wait() != 0:
            assert time.monotonic() < deadline, "the server does not answer pings"
            time.sleep(0.5)

    def guests(self) -> set[int]:
        return set(processes_of(self.cloud, "qemu-system"))


@pytest.mark.system
def test_guests_run_on_while_all_else_is_dead_and_a_reboot_of_the_host_is_repaired(real):
    street = Street(real)
    street.wait_ping()
    before = street.guests()
    assert len(before) == 1

    pinging = street.ping("-i", "0.2", "-c", "60", "-W", "2")
    for name in ("supervisor", "control", "agent", "console"):
        assert kill_process(real, name), name
    shown, _ = pinging.communicate(timeout=60)
    assert ", 0% packet loss" in shown, shown
    assert street.guests() == before

    real.alto("up")
    street.wait_active()
    pinging = street.ping("-i", "0.2", "-c", "60", "-W", "2")
    for name in itertools.islice(itertools.cycle(("agent", "control")), 4):
        time.sleep(2)
        kill_process(real, name)
    shown, _ = pinging.communicate(timeout=60)
    assert ", 0% packet loss" in shown, shown
    assert street.guests() == before
    wait_for_peace(street.admin, street.tenant, real=True)

    power_cut(real)
    real.alto("up")
    street.wait_active()
    street.wait_ping()
    assert len(street.guests()) == 1 and street.guests() != before
    wait_for_peace(street.admin, street.tenant, real=True)


@pytest.mark.system
def test_half_a_power_cut(real):
    """Guests and namespaces gone while the processes live: found and repaired without being told."""
    street = Street(real)
    street.wait_ping()
    for pid in street.guests():
        subprocess.run(["kill", "-9", str(pid)], check=True)
    deadline = time.monotonic() + 60
    path = f"/compute/v2.1/servers/{street.server}"
    while (shown := street.tenant.need("GET", path)["server"])["status"] not in ("SHUTOFF", "ERROR"):
        assert time.monotonic() < deadline, shown["status"]
        time.sleep(0.5)
    assert street.tenant.act(street.server, {"os-start": None}).ok
    street.wait_active()
    street.wait_ping()
    assert Path(real.paths.servers / street.server).is_dir()
