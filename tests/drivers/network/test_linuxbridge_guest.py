# SPDX-License-Identifier: Apache-2.0
"""A true guest on a true network: it boots, gets its address and metadata, and is logged in to by floating IP."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from altostratus.cli.image import kernel_directory
from altostratus.contracts.hypervisor import BaseImage, DiskSpec, NicSpec, ServerSpec
from altostratus.drivers.hypervisor.qemu import QemuConfig, QemuHypervisor
from altostratus.drivers.hypervisor.qemu.process import scan_guests
from altostratus.drivers.network.linuxbridge import LinuxBridgeDriver
from altostratus.guest_image import GuestImageError, build_mini_image
from altostratus.testing.network_conformance import WorldBuilder, id_of, rule
from tests.drivers.network.conftest import apply

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]
BOOT_TIMEOUT_S = 120.0


@pytest.fixture
def directory() -> Iterator[Path]:
    # sockets need a short path
    with tempfile.TemporaryDirectory(prefix="alto-net-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def image(directory: Path) -> BaseImage:
    path = directory / "mini.qcow2"
    try:
        mini = build_mini_image(str(path), kernel_directory())
    except GuestImageError as error:
        pytest.skip(str(error))
    return BaseImage(id="mini", path=str(path), format="qcow2", checksum="m" * 16, size_bytes=mini.size_bytes)


@pytest.fixture
def hypervisor(directory: Path) -> Iterator[QemuHypervisor]:
    config = QemuConfig(instances_dir=directory / "i", base_cache_dir=directory / "b")
    made = QemuHypervisor(config)
    try:
        yield made
    finally:
        made.close()
        for guest in scan_guests(config.instances_dir).values():
            os.kill(guest.pid, signal.SIGKILL)


def server_of(cloud: WorldBuilder, driver: LinuxBridgeDriver, name: str, image: BaseImage) -> ServerSpec:
    port = cloud.ports[name]
    disk = DiskSpec(device="vda", source="image", serial="root", boot_index=0, size_gib=1, image=image)
    nic = NicSpec(port_id=port.id, mac=port.mac, tap=port.tap, netns=driver.info().hypervisor_netns)
    return ServerSpec(
        id=id_of(f"server-{name}"), name=name, hostname=name, vcpus=1, memory_mib=128, disks=[disk], nics=[nic]
    )


def test_a_guest_is_reached_from_the_world(
    driver: LinuxBridgeDriver, cloud: WorldBuilder, directory: Path, image: BaseImage, hypervisor: QemuHypervisor
) -> None:
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    meta_data = {"uuid": id_of("u"), "hostname": "ferret", "public_keys": {"k": key.with_suffix(".pub").read_text()}}

    def lookup(request: dict[str, Any]) -> dict[str, Any]:
        known = request["path"] == "/openstack/latest/meta_data.json"
        body = json.dumps(meta_data).encode() if known else b""
        return {"status": 200 if known else 404, "body_base64": base64.b64encode(body).decode()}

    driver.serve_metadata(lookup)
    cloud.add_group("ssh", rule("ssh", "ingress", protocol="tcp", port_min=22, port_max=22))
    cloud.add_port("ferret", "net-a", "10.61.1.10", "ssh")
    cloud.add_floating_ip("router", "192.168.251.50", "ferret")
    apply(driver, cloud)
    server = server_of(cloud, driver, "ferret", image)
    hypervisor.ensure_server(server)
    options = ["-i", str(key), "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oConnectTimeout=2"]
    command = driver.world_command(["ssh", *options, "-oBatchMode=yes", "cirros@192.168.251.50", "hostname; ip route"])
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr + hypervisor.console_log(server.id, 4000).decode(
            errors="replace"
        )
        time.sleep(0.5)
    assert "ferret" in done.stdout
    assert "default via 10.61.1.1" in done.stdout
    ping = driver.world_command(["ping", "-c1", "-W1", "192.168.251.50"])
    assert subprocess.run(ping, capture_output=True, check=False).returncode != 0
