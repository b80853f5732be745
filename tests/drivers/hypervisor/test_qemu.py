# SPDX-License-Identifier: Apache-2.0
"""QEMU keeps the contract, with guests of 512 bytes; and what only a real process can show."""

import dataclasses
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from altostratus.contracts.hypervisor import BaseImage, ConfigDriveSpec, DiskSpec, HypervisorError, ServerSpec
from altostratus.drivers.hypervisor.qemu import QemuConfig, QemuHypervisor
from altostratus.drivers.hypervisor.qemu.process import scan_guests
from altostratus.drivers.hypervisor.qemu.record import ServerFiles
from altostratus.testing.hypervisor_conformance import HypervisorConformance, make_spec, wait_until
from tests.drivers.hypervisor.rigs import QemuRig

pytestmark = [
    pytest.mark.system_smoke,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="taps and namespaces need root"),
]


@pytest.fixture(scope="module")
def probe_cache() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="alto-probe-", dir="/tmp") as folder:
        yield Path(folder) / "accelerator-auto.json"


@pytest.fixture
def rig(probe_cache: Path) -> Iterator[QemuRig]:
    # Not tmp_path: paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="alto-hv-", dir="/tmp") as folder:
        made = QemuRig(Path(folder), probe_cache)
        try:
            yield made
        finally:
            made.close()
            for guest in scan_guests(made.config.instances_dir).values():
                os.kill(guest.pid, signal.SIGKILL)


class TestQemu(HypervisorConformance):
    """The contract."""


def _hold_driver(config: QemuConfig, spec: ServerSpec) -> None:
    """In a process of its own: start a server, then be killed."""
    QemuHypervisor(config).ensure_server(spec)
    (config.base_cache_dir / "started.json").touch()
    time.sleep(60)


def test_guest_survives_kill_9_of_the_agent(rig: QemuRig) -> None:
    rig.driver.close()
    spec = make_spec(rig)
    agent = multiprocessing.get_context("spawn").Process(target=_hold_driver, args=(rig.config, spec))
    agent.start()
    wait_until((rig.config.base_cache_dir / "started.json").exists, "the agent has started the server")
    pid = rig.guest_pid(spec.id)
    agent.kill()
    agent.join()
    rig.driver = QemuHypervisor(rig.config)
    assert rig.driver.show_server(spec.id).power == "running"
    rig.driver.ensure_server(spec)
    assert rig.guest_pid(spec.id) == pid
    rig.driver.remove_server(spec.id)
    assert scan_guests(rig.config.instances_dir) == {}


def test_servers_come_back_after_a_restart_of_the_host(rig: QemuRig) -> None:
    wanted, unwanted = make_spec(rig), make_spec(rig, restart_on_crash=False)
    for spec in (wanted, unwanted):
        rig.driver.ensure_server(spec)
    rig.driver.close()
    for spec in (wanted, unwanted):
        rig.kill_guest(spec.id)
        files = ServerFiles(rig.config.instances_dir / spec.id)
        record = files.load()
        assert record is not None
        record.host_boot = "an earlier boot"
        files.store(record)
    wait_until(lambda: not scan_guests(rig.config.instances_dir), "the guests are gone")
    rig.driver = QemuHypervisor(rig.config)
    assert rig.driver.ensure_server(wanted).power == "running"
    assert rig.driver.ensure_server(unwanted).power == "stopped"


def test_servers_that_died_while_the_cloud_was_down_come_back(rig: QemuRig) -> None:
    """Under the same start of the cloud a guest that died stays down; one that lived on is held by the next start."""
    dead, alive = make_spec(rig), make_spec(rig)
    for spec in (dead, alive):
        rig.driver.ensure_server(spec)
    rig.driver.close()
    rig.kill_guest(dead.id)
    wait_until(lambda: dead.id not in scan_guests(rig.config.instances_dir), "the guest is gone")
    rig.driver = QemuHypervisor(dataclasses.replace(rig.config, session="the next start"))
    assert rig.driver.ensure_server(dead).power == "running"
    assert rig.driver.ensure_server(alive).power == "running"
    rig.driver.close()
    rig.kill_guest(alive.id)
    wait_until(lambda: alive.id not in scan_guests(rig.config.instances_dir), "the guest is gone")
    rig.driver = QemuHypervisor(dataclasses.replace(rig.config, session="the next start"))
    assert rig.driver.ensure_server(alive).power == "crashed"


def test_only_one_driver_per_directory(rig: QemuRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("altostratus.drivers.hypervisor.qemu.driver._LOCK_WAIT_S", 0.1)
    with pytest.raises(HypervisorError, match="Another compute agent"):
        QemuHypervisor(rig.config)


def test_missing_tap_is_told_and_tried_again(rig: QemuRig) -> None:
    nic = msgspec.structs.replace(rig.nic(), tap="nosuchtap")
    with pytest.raises(HypervisorError, match="has not made tap nosuchtap") as refusal:
        rig.driver.ensure_server(make_spec(rig, nics=[nic]))
    assert not refusal.value.final
    links = subprocess.run(["ip", "-n", rig.netns, "link"], capture_output=True, text=True, check=True).stdout
    assert "nosuchtap" not in links


def test_image_with_a_backing_file_is_refused(rig: QemuRig) -> None:
    evil = rig.directory / "evil.qcow2"
    secret = rig.image.path
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, evil], check=True)
    image = BaseImage(id="evil", path=str(evil), format="qcow2", checksum="e" * 16, size_bytes=1)
    disk = DiskSpec(device="vda", source="image", serial="root", boot_index=0, size_gib=1, image=image)
    with pytest.raises(HypervisorError, match="refers to another file") as refusal:
        rig.driver.ensure_server(make_spec(rig, disks=[disk]))
    assert refusal.value.final


def test_backing_file_written_into_a_raw_image_is_only_data(rig: QemuRig) -> None:
    """The bytes of a qcow2 in an image declared raw are what the guest sees, never a chain that the host follows."""
    evil = rig.directory / "evil.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", evil], check=True)
    image = BaseImage(id="evil", path=str(evil), format="raw", checksum="r" * 16, size_bytes=1)
    disk = DiskSpec(device="vda", source="image", serial="root", boot_index=0, size_gib=1, image=image)
    spec = make_spec(rig, disks=[disk])
    assert rig.driver.ensure_server(spec).power == "running"
    nodes = rig.driver._servers[spec.id].monitor.execute("query-named-block-nodes", {"flat": True})  # type: ignore[union-attr]
    assert not any("hostname" in str(node["file"]) for node in nodes)


def test_too_small_a_flavor_is_refused_for_good(rig: QemuRig) -> None:
    disk = msgspec.structs.replace(rig.root_disk("x"), size_mib=0, size_gib=1)
    large = rig.directory / "large.raw"
    with large.open("wb") as file:
        file.truncate(3 << 30)
    image = BaseImage(id="large", path=str(large), format="raw", checksum="l" * 16, size_bytes=3 << 30)
    with pytest.raises(HypervisorError, match="needs a disk of 3 GiB") as refusal:
        rig.driver.ensure_server(make_spec(rig, disks=[msgspec.structs.replace(disk, image=image)]))
    assert refusal.value.final


def test_base_image_is_linked_not_copied_and_pruned_when_unused(rig: QemuRig) -> None:
    spec = make_spec(rig)
    rig.driver.ensure_server(spec)
    cached = [path for path in rig.config.base_cache_dir.iterdir() if path.suffix == ".raw"]
    assert len(cached) == 1 and cached[0].stat().st_ino == os.stat(rig.image.path).st_ino
    rig.driver.prune()
    assert cached[0].exists()
    rig.driver.remove_server(spec.id)
    rig.driver.prune()
    assert not cached[0].exists()


@pytest.mark.parametrize("format", ["vmdk", "vdi", "vpc"])
def test_foreign_formats_are_converted_once(rig: QemuRig, format: str) -> None:
    path = rig.directory / f"image.{format}"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, rig.image.path, path], check=True)
    image = BaseImage(id=format, path=str(path), format=format, checksum=format * 4, size_bytes=1)
    disk = msgspec.structs.replace(rig.root_disk("x"), image=image, size_mib=4)
    spec = make_spec(rig, disks=[disk])
    assert rig.driver.ensure_server(spec).power == "running"
    wait_until(lambda: b"login:" in rig.driver.console_log(spec.id, 10_000), "it boots")


def test_every_kind_of_disk_and_uefi(rig: QemuRig) -> None:
    iso = BaseImage(id="iso", path=rig.image.path, format="iso", checksum="iso" * 4, size_bytes=1)
    spec = make_spec(
        rig,
        firmware="uefi" if "uefi" in rig.driver.info().capabilities else "bios",
        memory_mib=128,
        config_drive=ConfigDriveSpec(files={"openstack/latest/meta_data.json": "e30="}),
        disks=[
            rig.root_disk("x"),
            DiskSpec(device="vdb", source="blank", serial="eph", size_gib=1, guest_format="ext4"),
            DiskSpec(device="vdc", source="blank", serial="swap", size_mib=8, guest_format="swap"),
            DiskSpec(device="sda", source="image", serial="cd", image=iso, bus="scsi", device_type="cdrom"),
            msgspec.structs.replace(rig.volume("sdb", 1), bus="scsi"),
            msgspec.structs.replace(rig.volume("sdc", 1), bus="sata"),
        ],
    )
    state = rig.driver.ensure_server(spec)
    assert state.power == "running" and len(state.disks) == 6
    assert rig.driver.ensure_server(spec).started_at == state.started_at


def test_a_delete_does_not_wait_for_a_deaf_guest(rig: QemuRig) -> None:
    spec = make_spec(rig, shutdown_timeout_s=60)
    rig.driver.ensure_server(spec)
    wait_until(lambda: b"login:" in rig.driver.console_log(spec.id, 10_000), "it boots")
    stopping = threading.Thread(
        target=rig.driver.ensure_server, args=(msgspec.structs.replace(spec, power="stopped"),), daemon=True
    )
    stopping.start()
    time.sleep(0.5)
    start = time.monotonic()
    rig.driver.remove_server(spec.id)
    stopping.join()
    assert time.monotonic() - start < 5


def test_console_log_is_bounded(rig: QemuRig) -> None:
    spec = make_spec(rig)
    rig.driver.ensure_server(spec)
    path = rig.config.instances_dir / spec.id / "console.log"
    with path.open("ab") as file:
        file.write(b"x" * (5 << 20))
    rig.driver.prune()
    assert path.stat().st_size <= rig.config.console_log_max_mib << 20


def _only_root_is_mapped() -> bool:
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2] == "1"


@pytest.mark.skipif(_only_root_is_mapped(), reason="this user namespace has one user only")
def test_guests_can_run_unprivileged(rig: QemuRig) -> None:
    rig.driver.close()
    rig.directory.chmod(0o755)
    rig.driver = QemuHypervisor(_as_nobody(rig.config))
    spec = make_spec(rig, nics=[rig.nic()])
    state = rig.driver.ensure_server(spec)
    assert state.power == "running" and state.vnc is not None
    vnc = Path(state.vnc).stat()
    assert (vnc.st_uid, vnc.st_gid, vnc.st_mode & 0o777) == (65534, 1234, 0o660)
    status = Path(f"/proc/{rig.guest_pid(spec.id)}/status").read_text(encoding="ascii")
    assert "Uid:\t65534\t65534" in status and "Seccomp:\t2" in status
    assert rig.driver.ensure_server(msgspec.structs.replace(spec, power="suspended")).power == "suspended"
    assert rig.driver.ensure_server(spec).power == "running"
    target = rig.directory / "snap.qcow2"
    asked = msgspec.structs.replace(spec, snapshot_token="s", snapshot_path=str(target))
    assert rig.driver.ensure_server(asked).snapshot_token == "s"
    assert target.stat().st_uid == rig.directory.stat().st_uid


def _as_nobody(config: QemuConfig) -> QemuConfig:
    return QemuConfig(
        instances_dir=config.instances_dir,
        base_cache_dir=config.base_cache_dir,
        run_as=(65534, 65534),
        console_group=1234,
    )
