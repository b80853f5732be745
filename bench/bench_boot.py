# SPDX-License-Identifier: Apache-2.0
"""From the request to ssh, beside the same guest started by hand with QEMU; root and QEMU needed.

By hand: an overlay, QEMU with user networking and a config drive, ssh until it answers. Ours: POST
/servers on a network with a router and a floating address, ssh from the world's namespace until it answers.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from altostratus.testing.private_cloud import PrivateCloud

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.guest_image.guest import Guest, make_drive, make_key

ROUNDS = 3
GOAL_S = 2.0
SSH = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")


def until_ssh(argv: list[str], started: float) -> float:
    while time.monotonic() - started < 120:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0:
            return time.monotonic() - started
        time.sleep(0.05)
    raise RuntimeError("no ssh within 120 s")


def by_hand(image: str, key: Path, public: str) -> float:
    with tempfile.TemporaryDirectory(prefix="alto-hand-") as name:
        work = Path(name)
        meta = {"uuid": "by-hand", "hostname": "hand", "public_keys": {"k": public.strip()}}
        drive = make_drive(work / "drive", meta)
        started = time.monotonic()
        with Guest(image, work, drive=drive) as guest:
            ssh = ["ssh", "-p", str(guest.port), "-i", str(key), "-o", "ConnectTimeout=1", "-o", "BatchMode=yes", *SSH]
            return until_ssh([*ssh, "cirros@127.0.0.1", "true"], started)


def prepare(cloud: PrivateCloud, public: str) -> dict[str, str]:
    def make(path: str, one: str, **values: Any) -> str:
        return str(cloud.call("POST", path, {one: values})[one]["id"])

    net = "/network/v2.0/"
    outside = {"router:external": True, "provider:network_type": "flat", "provider:physical_network": "public"}
    public_net = make(net + "networks", "network", name="public", **outside)
    gateway = {"cidr": "192.168.100.0/24", "gateway_ip": "192.168.100.1", "enable_dhcp": False}
    make(net + "subnets", "subnet", network_id=public_net, ip_version=4, **gateway)
    network = make(net + "networks", "network", name="inside")
    subnet = make(net + "subnets", "subnet", network_id=network, ip_version=4, cidr="10.9.0.0/24")
    router = make(net + "routers", "router", name="r", external_gateway_info={"network_id": public_net})
    cloud.call("PUT", f"{net}routers/{router}/add_router_interface", {"subnet_id": subnet})
    group = make(net + "security-groups", "security_group", name="ssh")
    rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    make(net + "security-group-rules", "security_group_rule", security_group_id=group, **rule)
    cloud.call("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": public.strip()}})
    images = cloud.call("GET", "/image/v2/images?name=mini")["images"]
    return {"network": network, "group": group, "public": public_net, "image": images[0]["id"]}


def by_cloud(cloud: PrivateCloud, known: dict[str, str], key: Path) -> float:
    port = {"network_id": known["network"], "security_groups": [known["group"]]}
    port_id = cloud.call("POST", "/network/v2.0/ports", {"port": port})["port"]["id"]
    wanted = {"floating_network_id": known["public"], "port_id": port_id}
    address = cloud.call("POST", "/network/v2.0/floatingips", {"floatingip": wanted})["floatingip"][
        "floating_ip_address"
    ]
    server = {
        "name": "s",
        "imageRef": known["image"],
        "flavorRef": "0",
        "key_name": "k",
        "networks": [{"port": port_id}],
    }
    started = time.monotonic()
    made = cloud.call("POST", "/compute/v2.1/servers", {"server": server})["server"]["id"]
    world = ["ip", "netns", "exec", f"alto-{cloud.paths.tag}-world"]
    ssh = [*world, "ssh", "-i", str(key), "-o", "ConnectTimeout=1", "-o", "BatchMode=yes", *SSH]
    seconds = until_ssh([*ssh, f"cirros@{address}", "true"], started)
    cloud.call("DELETE", f"/compute/v2.1/servers/{made}")
    return seconds


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="alto-keys-") as name, PrivateCloud(simulated=False) as cloud:
        key = Path(name) / "key"
        public = make_key(key, "ed25519")
        known = prepare(cloud, public)
        image = str(cloud.state / "mini" / "mini.qcow2")
        hand, ours = [], []
        for _ in range(ROUNDS):
            hand.append(by_hand(image, key, public))
            ours.append(by_cloud(cloud, known, key))
            time.sleep(2)
    print(f"by hand: {', '.join(f'{one:.1f}' for one in hand)} s; median {statistics.median(hand):.1f} s")
    print(f"by the cloud: {', '.join(f'{one:.1f}' for one in ours)} s; median {statistics.median(ours):.1f} s")
    more = statistics.median(ours) - statistics.median(hand)
    print(f"the cloud takes {more:+.1f} s more (goal: at most {GOAL_S:.0f} s)")
    return 0 if more <= GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
