# SPDX-License-Identifier: Apache-2.0
"""Rigs for the hypervisor conformance suite: one for the fake, one for QEMU with 512-byte guests."""

import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

from altostratus.contracts.hypervisor import BaseImage, DiskSpec, NicSpec
from altostratus.drivers.hypervisor.fake import FakeConfig, FakeHypervisor
from altostratus.drivers.hypervisor.qemu import QemuConfig, QemuHypervisor
from altostratus.drivers.hypervisor.qemu.process import scan_guests
from altostratus.testing.hypervisor_conformance import wait_until

# Print a text on COM1; then sleep until a byte arrives on it, and switch off by the ACPI register of q35.
_PRINT = "31c0 8ed8 be{at}7c ac 84c0 7406 baf803 ee ebf5"
_SLEEP = "fb f4 bafd03 ec a801 74f6 ba0406 b80020 ef ebed"
_TEXT = b"\r\nboot sector login: \0"


def boot_sector() -> bytes:
    """A guest of 512 bytes: shows a login prompt, ignores the power button, ends itself when spoken to."""
    length = len(bytes.fromhex(_PRINT.format(at="00") + _SLEEP))
    code = bytes.fromhex(_PRINT.format(at=f"{length:02x}") + _SLEEP)
    return (code + _TEXT).ljust(510, b"\0") + b"\x55\xaa"


def make_image(directory: Path, content: bytes, name: str) -> BaseImage:
    path = directory / name
    with path.open("wb") as file:
        file.write(content)
        file.truncate(1 << 20)
    return BaseImage(id=name, path=str(path), format="raw", checksum=f"sha512:{name:0<16}", size_bytes=1 << 20)


class FakeRig:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._state = directory / "state"
        self.driver = FakeHypervisor(FakeConfig(state_dir=self._state))

    def root_disk(self, server_id: str) -> DiskSpec:
        image = BaseImage(id="image", path="/nowhere", format="raw", checksum="0" * 16, size_bytes=1)
        return DiskSpec(device="vda", source="image", serial=f"root-{server_id}", boot_index=0, size_gib=1, image=image)

    def volume(self, device: str, size_gib: int) -> DiskSpec:
        volume_id = str(uuid.uuid4())
        return DiskSpec(device=device, source="volume", serial=volume_id, volume_id=volume_id, size_gib=size_gib)

    def nic(self) -> NicSpec:
        return NicSpec(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01", tap="tap0", netns=None)

    def reopen(self) -> FakeHypervisor:
        self.driver.close()
        logs = self.driver._logs
        self.driver = FakeHypervisor(FakeConfig(state_dir=self._state))
        self.driver._logs = logs
        return self.driver

    def power_off_guest(self, server_id: str) -> None:
        self.driver.end_guest(server_id)

    def kill_guest(self, server_id: str) -> None:
        self.driver.end_guest(server_id, crashed=True)

    def leftovers(self) -> list[str]:
        return [str(path) for path in self._state.iterdir()]

    def close(self) -> None:
        self.driver.close()


class QemuRig:
    """Guests are boot sectors. Taps live in a network namespace of the rig's own."""

    def __init__(self, directory: Path, probe_cache: Path) -> None:
        self.directory = directory
        self.config = QemuConfig(instances_dir=directory / "i", base_cache_dir=directory / "b", detach_timeout_s=2.0)
        self.config.base_cache_dir.mkdir()
        # The probe of KVM may take seconds; it is the same for every test.
        self._probe_cache = probe_cache
        if probe_cache.exists():
            os.link(probe_cache, self.config.base_cache_dir / probe_cache.name)
        self.driver = QemuHypervisor(self.config)
        if not probe_cache.exists():
            os.link(self.config.base_cache_dir / probe_cache.name, probe_cache)
        self.image = make_image(directory, boot_sector(), "sleeper")
        self.netns = f"alto-test-{uuid.uuid4().hex[:8]}"
        self._taps = 0

    def root_disk(self, server_id: str) -> DiskSpec:
        return DiskSpec(
            device="vda", source="image", serial=f"root-{server_id}", boot_index=0, size_mib=2, image=self.image
        )

    def volume(self, device: str, size_gib: int) -> DiskSpec:
        volume_id = str(uuid.uuid4())
        path = self.directory / f"volume-{volume_id}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, f"{size_gib}G"], check=True)
        return DiskSpec(
            device=device,
            source="volume",
            serial=volume_id,
            volume_id=volume_id,
            volume_path=str(path),
            volume_format="qcow2",
            size_gib=size_gib,
        )

    def nic(self) -> NicSpec:
        if self._taps == 0:
            subprocess.run(["ip", "netns", "add", self.netns], check=True)
        self._taps += 1
        tap = f"tap{self._taps}"
        subprocess.run(["ip", "-n", self.netns, "tuntap", "add", tap, "mode", "tap", "vnet_hdr"], check=True)
        mac = f"fa:16:3e:00:00:{self._taps:02x}"
        return NicSpec(port_id=str(uuid.uuid4()), mac=mac, tap=tap, netns=self.netns)

    def reopen(self) -> QemuHypervisor:
        self.driver.close()
        self.driver = QemuHypervisor(self.config)
        return self.driver

    def power_off_guest(self, server_id: str) -> None:
        wait_until(lambda: b"login:" in self.driver.console_log(server_id, 10_000), "the guest listens")
        path = self.driver.show_server(server_id).serial_console
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(path))
            console.send(b"q")
            wait_until(lambda: self.driver.show_server(server_id).power == "stopped", "the guest is off")

    def kill_guest(self, server_id: str) -> None:
        os.kill(self.guest_pid(server_id), signal.SIGKILL)

    def guest_pid(self, server_id: str) -> int:
        return scan_guests(self.config.instances_dir)[server_id].pid

    def leftovers(self) -> list[str]:
        files = [str(path) for path in self.config.instances_dir.iterdir() if path.name != ".lock"]
        cached = [str(path) for path in self.config.base_cache_dir.iterdir() if path.suffix != ".json"]
        return files + cached + [f"process of {name}" for name in scan_guests(self.config.instances_dir)]

    def close(self) -> None:
        for state in self.driver.list_servers():
            self.driver.remove_server(state.id)
        self.driver.close()
        if self._taps:
            subprocess.run(["ip", "netns", "del", self.netns], check=True)
