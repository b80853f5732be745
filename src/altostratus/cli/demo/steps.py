# SPDX-License-Identifier: Apache-2.0
"""The steps of the demo, in their order. Each finds what an earlier run has made, or makes it."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from altostratus.app.options import CloudOptions, Paths
from altostratus.cli.api_client import Client, ClientError
from altostratus.kernel import clock, ids

NAMES = {
    "image": "demo-image",
    "keypair": "demo-key",
    "network": "demo-net",
    "subnet": "demo-subnet",
    "router": "demo-router",
    "group": "demo-ssh",
    "volume": "demo-volume",
    "server": "demo-server",
}
PUBLIC_NETWORK, PUBLIC_SUBNET, PUBLIC_CIDR, PUBLIC_GATEWAY = "public", "pubsub", "192.168.100.0/24", "192.168.100.1"
PRIVATE_CIDR = "10.20.0.0/24"
MARKER = "/mnt/demo/marker"


@dataclass
class Demo:
    """What the steps know of each other."""

    paths: Paths
    options: CloudOptions
    admin: Client
    user: Client
    made: dict[str, Any] = field(default_factory=dict)
    secret: str = field(default_factory=ids.new_secret)

    @property
    def key(self) -> Path:
        return self.paths.state / "demo" / "demo.pem"

    def guest(self, command: str, timeout_s: float = 60) -> str:
        """Run a command in the server by ssh from the world's namespace."""
        argv = ["ip", "netns", "exec", f"alto-{self.paths.tag}-world", "ssh", "-i", str(self.key)]
        argv += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        argv += ["-o", "ConnectTimeout=3", "-o", "BatchMode=yes", f"cirros@{self.made['floating_ip']}", command]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise ClientError(f"`{command}` in the guest took more than {timeout_s:.0f} s") from None
        if done.returncode != 0:
            raise ClientError(
                f"`{command}` in the guest ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def guest_until(self, command: str, timeout_s: float = 90) -> str:
        """The same, tried again until it works."""
        deadline = clock.monotonic() + timeout_s
        while True:
            try:
                return self.guest(command, timeout_s=20)
            except ClientError:
                if clock.monotonic() > deadline:
                    raise
                time.sleep(0.3)


def image(demo: Demo) -> str:
    source = demo.paths.state / "demo" / "mini.qcow2"
    found = demo.user.find("image", "/images", "images", NAMES["image"])
    if found is None:
        wanted = {"name": NAMES["image"], "disk_format": "qcow2", "container_format": "bare"}
        found = demo.user.call("POST", "image", "/images", wanted)
    if found["status"] == "queued":
        demo.user.upload(found["id"], source)
    shown = demo.user.call("GET", "image", f"/images/{found['id']}")
    if shown["status"] != "active":
        raise ClientError(f"the image is {shown['status']}, not active")
    demo.made["image"] = shown["id"]
    return f"{shown['size'] / 2**20:.1f} MiB, {shown['os_hash_algo']} {shown['os_hash_value'][:12]}..."


def keypair(demo: Demo) -> str:
    demo.key.parent.mkdir(parents=True, exist_ok=True)
    names = [one["keypair"]["name"] for one in demo.user.call("GET", "compute", "/os-keypairs")["keypairs"]]
    if NAMES["keypair"] in names and demo.key.exists():
        return "already there"
    demo.user.delete("compute", f"/os-keypairs/{NAMES['keypair']}")
    demo.key.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", str(demo.key)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    wanted = {"name": NAMES["keypair"], "public_key": demo.key.with_suffix(".pem.pub").read_text().strip()}
    made = demo.user.call("POST", "compute", "/os-keypairs", {"keypair": wanted})["keypair"]
    return str(made["fingerprint"])


def private_network(demo: Demo) -> str:
    net = demo.user.ensure("network", "/networks", "network", {"name": NAMES["network"]})
    wanted = {"name": NAMES["subnet"], "network_id": net["id"], "ip_version": 4, "cidr": PRIVATE_CIDR}
    subnet = demo.user.ensure("network", "/subnets", "subnet", wanted)
    demo.made |= {"network": net["id"], "subnet": subnet["id"]}
    return str(subnet["cidr"])


def external_network(demo: Demo) -> str:
    wanted = {
        "name": PUBLIC_NETWORK,
        "router:external": True,
        "provider:network_type": "flat",
        "provider:physical_network": "public",
    }
    net = demo.admin.ensure("network", "/networks", "network", wanted)
    demo.made["public"] = net["id"]
    if not net["subnets"]:
        subnet = {
            "name": PUBLIC_SUBNET,
            "network_id": net["id"],
            "ip_version": 4,
            "cidr": PUBLIC_CIDR,
            "gateway_ip": PUBLIC_GATEWAY,
            "enable_dhcp": False,
        }
        demo.admin.call("POST", "network", "/subnets", {"subnet": subnet})
    return PUBLIC_CIDR


def router(demo: Demo) -> str:
    made = demo.user.ensure("network", "/routers", "router", {"name": NAMES["router"]})
    demo.made["router"] = made["id"]
    if made["external_gateway_info"] is None:
        gateway = {"router": {"external_gateway_info": {"network_id": demo.made["public"]}}}
        made = demo.user.call("PUT", "network", f"/routers/{made['id']}", gateway)["router"]
    query = f"/ports?device_id={made['id']}&device_owner=network:router_interface"
    if not demo.user.call("GET", "network", query)["ports"]:
        demo.user.call(
            "PUT", "network", f"/routers/{made['id']}/add_router_interface", {"subnet_id": demo.made["subnet"]}
        )
    return str(made["external_gateway_info"]["external_fixed_ips"][0]["ip_address"])


def security_group(demo: Demo) -> str:
    group = demo.user.ensure("network", "/security-groups", "security_group", {"name": NAMES["group"]})
    demo.made["group"] = group["id"]
    have = {(rule["protocol"], rule["port_range_min"]) for rule in group["security_group_rules"]}
    for protocol, port in (("icmp", None), ("tcp", 22)):
        if (protocol, port) in have:
            continue
        rule = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": protocol}
        ports = {} if port is None else {"port_range_min": port, "port_range_max": port}
        demo.user.call("POST", "network", "/security-group-rules", {"security_group_rule": rule | ports})
    return "icmp and ssh may come in"


def volume(demo: Demo) -> str:
    made = demo.user.find("volume", "/volumes", "volumes", NAMES["volume"])
    if made is None:
        made = demo.user.call("POST", "volume", "/volumes", {"volume": {"name": NAMES["volume"], "size": 1}})["volume"]
    demo.made["volume"] = made["id"]
    path = f"/volumes/{made['id']}"
    demo.user.wait(
        lambda: demo.user.call("GET", "volume", path)["volume"],
        lambda shown: shown["status"] in ("available", "in-use"),
        "the volume is not available",
    )
    return "1 GiB"


def server(demo: Demo) -> str:
    found = demo.user.find("compute", "/servers", "servers", NAMES["server"])
    if found is None:
        flavors = demo.user.call("GET", "compute", "/flavors")["flavors"]
        flavor = next((one["id"] for one in flavors if one["name"] == "m1.mini"), flavors[0]["id"])
        wanted = {
            "name": NAMES["server"],
            "imageRef": demo.made["image"],
            "flavorRef": flavor,
            "key_name": NAMES["keypair"],
            "networks": [{"uuid": demo.made["network"]}],
            "security_groups": [{"name": NAMES["group"]}],
        }
        found = demo.user.call("POST", "compute", "/servers", {"server": wanted})["server"]
    demo.made["server"] = found["id"]
    path = f"/servers/{found['id']}"
    shown = demo.user.call("GET", "compute", path)["server"]
    if shown["status"] == "SHUTOFF":
        demo.user.call("POST", "compute", path + "/action", {"os-start": None})
    shown = demo.user.wait_status("compute", path, "server", "ACTIVE")
    addresses = [one["addr"] for many in shown["addresses"].values() for one in many]
    return f"ACTIVE with {', '.join(addresses)}"


def console_login(demo: Demo) -> str:
    path = f"/servers/{demo.made['server']}/action"

    def tail() -> str:
        try:
            return str(demo.user.call("POST", "compute", path, {"os-getConsoleOutput": {"length": 40}})["output"])
        except ClientError as error:
            return str(error)  # the host may be away for a moment; the wait tells the last answer

    log = demo.user.wait(tail, lambda text: "login:" in text, "no login prompt on the console log", 240)
    found = re.findall(r"\S+ login:", log)
    return found[-1] if found else "login:"


def floating_ip(demo: Demo) -> str:
    port = demo.user.call("GET", "network", f"/ports?device_id={demo.made['server']}")["ports"][0]
    existing = demo.user.call("GET", "network", f"/floatingips?port_id={port['id']}")["floatingips"]
    if existing:
        made = existing[0]
    else:
        wanted = {"floating_network_id": demo.made["public"], "port_id": port["id"]}
        made = demo.user.call("POST", "network", "/floatingips", {"floatingip": wanted})["floatingip"]
    demo.made |= {"floating_ip": made["floating_ip_address"], "floating_ip_id": made["id"]}
    return str(made["floating_ip_address"])


def log_in(demo: Demo) -> str:
    return demo.guest_until("hostname; uname -r").replace("\n", " ").strip()


def attach_volume(demo: Demo) -> str:
    shown = demo.user.call("GET", "volume", f"/volumes/{demo.made['volume']}")["volume"]
    if not any(one["server_id"] == demo.made["server"] for one in shown["attachments"]):
        path = f"/servers/{demo.made['server']}/os-volume_attachments"
        demo.user.call("POST", "compute", path, {"volumeAttachment": {"volumeId": demo.made["volume"]}})
    shown = demo.user.wait_status("volume", f"/volumes/{demo.made['volume']}", "volume", "in-use")
    demo.guest_until("test -b /dev/vdb", timeout_s=30)
    return str(shown["attachments"][0]["device"])


def write_file(demo: Demo) -> str:
    script = (
        "sudo blkid /dev/vdb | grep -q ext || sudo mkfs.ext4 -q /dev/vdb; sudo mkdir -p /mnt/demo; "
        "grep -q /mnt/demo /proc/mounts || sudo mount /dev/vdb /mnt/demo; "
        f"echo {demo.secret} | sudo tee {MARKER} >/dev/null; sync; sudo umount /mnt/demo; sudo blkid /dev/vdb"
    )
    return demo.guest(script).strip()


def reboot(demo: Demo) -> str:
    before = demo.guest("cat /proc/sys/kernel/random/boot_id").strip()
    path = f"/servers/{demo.made['server']}"
    demo.user.call("POST", "compute", path + "/action", {"reboot": {"type": "SOFT"}})
    demo.user.wait_status("compute", path, "server", "ACTIVE")
    deadline = clock.monotonic() + 120
    while demo.guest_until("cat /proc/sys/kernel/random/boot_id").strip() == before:
        if clock.monotonic() > deadline:
            raise ClientError("the guest did not reboot within 120 s")
        time.sleep(0.3)
    return "a new boot"


def find_file(demo: Demo) -> str:
    found = demo.guest(f"sudo mkdir -p /mnt/demo; sudo mount /dev/vdb /mnt/demo && sudo cat {MARKER}").strip()
    if found != demo.secret:
        raise ClientError(f"the file on the volume says {found!r}, not what was written")
    return "the file is as it was written"


STEPS: tuple[tuple[str, Callable[[Demo], str]], ...] = (
    ("upload an image", image),
    ("make a key pair", keypair),
    ("make a private network and subnet", private_network),
    ("make the external network", external_network),
    ("make a router between them", router),
    ("open icmp and ssh in a security group", security_group),
    ("make a volume", volume),
    ("boot a server", server),
    ("see its login prompt on the console log", console_login),
    ("give it a floating IP", floating_ip),
    ("log in by ssh with the key", log_in),
    ("attach the volume to the running server", attach_volume),
    ("make a file system and write a file", write_file),
    ("reboot the server", reboot),
    ("find the file again", find_file),
)
