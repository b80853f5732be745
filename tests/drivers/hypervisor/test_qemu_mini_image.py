# SPDX-License-Identifier: Apache-2.0
"""A whole Linux guest, spoken to on its serial console: what it sees of our devices, and how it obeys."""

import base64
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from altostratus.cli.image import kernel_directory
from altostratus.contracts.hypervisor import BaseImage, ConfigDriveSpec, DiskSpec, ServerSpec
from altostratus.drivers.hypervisor.qemu.process import scan_guests
from altostratus.guest_image import GuestImageError, build_mini_image
from altostratus.testing.hypervisor_conformance import make_spec, wait_until
from tests.drivers.hypervisor.rigs import QemuRig

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="taps and namespaces need root"),
]

_BOOT_TIMEOUT_S = 120.0


class Console:
    """A login on the serial console."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.settimeout(1.0)
        self._text = ""
        self._number = 0

    def close(self) -> None:
        self._socket.close()

    def log_in(self) -> None:
        self._socket.send(b"\n")
        self._expect("login: ")
        self._socket.send(b"cirros\n")
        self._expect("assword: ")
        self._socket.send(b"gocubsgo\n")
        self._expect("$ ")

    def run(self, command: str) -> str:
        """What the command writes."""
        self._number += 1
        mark = f"done-{self._number}"
        # The echo of the command must not be taken for its end.
        self._socket.send(f"{command}; echo do''ne-{self._number}\n".encode())
        written = self._expect(mark).rpartition(f"do''ne-{self._number}\n")[2].strip()
        self._expect("$ ")
        return written

    def _expect(self, text: str, timeout_s: float = 30.0) -> str:
        deadline = time.monotonic() + timeout_s
        while text not in self._text:
            assert time.monotonic() < deadline, f"no {text!r} on the console, only {self._text[-300:]!r}"
            try:
                self._text += self._socket.recv(4096).decode(errors="replace").replace("\r", "")
            except TimeoutError:
                continue
        before, _, self._text = self._text.partition(text)
        return before


@pytest.fixture
def rig() -> Iterator[QemuRig]:
    with tempfile.TemporaryDirectory(prefix="alto-hv-", dir="/tmp") as folder:
        made = QemuRig(Path(folder), Path(folder) / "accelerator-auto.json")
        try:
            yield made
        finally:
            made.close()
            for guest in scan_guests(made.config.instances_dir).values():
                os.kill(guest.pid, signal.SIGKILL)


@pytest.fixture
def spec(rig: QemuRig) -> ServerSpec:
    path = rig.directory / "mini.qcow2"
    try:
        mini = build_mini_image(str(path), kernel_directory())
    except GuestImageError as error:
        pytest.skip(str(error))
    image = BaseImage(id="mini", path=str(path), format="qcow2", checksum="m" * 16, size_bytes=mini.size_bytes)
    root = DiskSpec(device="vda", source="image", serial="root", boot_index=0, size_gib=1, image=image)
    meta_data = base64.b64encode(b'{"uuid": "u", "hostname": "ferret"}').decode()
    drive = ConfigDriveSpec(files={"openstack/latest/meta_data.json": meta_data})
    return make_spec(rig, memory_mib=128, disks=[root], config_drive=drive, shutdown_timeout_s=40)


def _boot(rig: QemuRig, spec: ServerSpec, count: int = 1) -> Console:
    def prompts() -> int:
        return rig.driver.console_log(spec.id, 1 << 20).count(b"ferret login:")

    state = rig.driver.ensure_server(spec)
    wait_until(lambda: prompts() >= count, "the guest has booted", _BOOT_TIMEOUT_S)
    console = Console(str(state.serial_console))
    console.log_in()
    return console


def test_guest_sees_devices_come_grow_and_go(rig: QemuRig, spec: ServerSpec) -> None:
    console = _boot(rig, spec)
    assert console.run("cat /sys/class/dmi/id/product_name") == "OpenStack Nova"
    assert console.run("sudo cat /sys/class/dmi/id/product_uuid").lower() == spec.id
    volume, nic = rig.volume("vdb", 1), rig.nic()
    wider = msgspec.structs.replace(spec, disks=[*spec.disks, volume], nics=[nic])
    rig.driver.ensure_server(wider)
    wait_until(lambda: console.run("cat /sys/block/vdb/serial") == volume.serial[:20], "the guest sees /dev/vdb")
    wait_until(lambda: nic.mac in console.run("cat /sys/class/net/*/address"), "the guest sees the network card")
    grown = msgspec.structs.replace(wider, disks=[*spec.disks, msgspec.structs.replace(volume, size_gib=2)])
    rig.driver.ensure_server(grown)
    wait_until(lambda: console.run("cat /sys/block/vdb/size") == str((2 << 30) // 512), "the guest sees it grow")

    console.run("echo kept > /tmp/kept")
    console.close()
    rig.driver.ensure_server(msgspec.structs.replace(grown, power="suspended"))
    console = Console(str(rig.driver.ensure_server(grown).serial_console))
    assert console.run("cat /tmp/kept") == "kept"

    state = rig.driver.ensure_server(spec)
    assert (state.disks, state.nics) == (["root"], [])
    assert "vdb" not in console.run("ls /sys/block") and "eth0" not in console.run("ls /sys/class/net")
    console.close()


def test_guest_obeys_the_power_button_and_its_own(rig: QemuRig, spec: ServerSpec) -> None:
    console = _boot(rig, spec)
    console.run("echo kept | sudo tee /kept; sync")
    console.close()
    rebooted = msgspec.structs.replace(spec, reboot_token="soft", reboot_kind="soft")
    start = time.monotonic()
    console = _boot(rig, rebooted, count=2)
    assert time.monotonic() - start < _BOOT_TIMEOUT_S
    assert console.run("cat /kept") == "kept"

    heard: list[str] = []
    rig.driver.set_listener(heard.append)
    console._socket.send(b"sudo poweroff\n")
    wait_until(lambda: spec.id in heard, "the driver tells of it", 60)
    console.close()
    state = rig.driver.ensure_server(rebooted)
    assert (state.power, state.reason) == ("stopped", "The guest powered itself off.")
    assert scan_guests(rig.config.instances_dir) == {}
