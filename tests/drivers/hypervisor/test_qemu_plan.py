# SPDX-License-Identifier: Apache-2.0
"""Decisions of the QEMU driver, without QEMU."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from altostratus.contracts.hypervisor import BaseImage, DiskSpec, HypervisorError, NicSpec, ServerSpec
from altostratus.drivers.hypervisor.qemu.command import Parts, build_command
from altostratus.drivers.hypervisor.qemu.config import QemuConfig
from altostratus.drivers.hypervisor.qemu.devices import (
    DISK_PORTS,
    NIC_PORTS,
    disk_device,
    disk_id,
    nic_id,
    node_name,
    plan_ports,
)
from altostratus.drivers.hypervisor.qemu.plan import Devices, Observed, plan_server
from altostratus.drivers.hypervisor.qemu.probe import HostFacts
from altostratus.drivers.hypervisor.qemu.record import LocalDisk, Record, ServerFiles, is_server_id

IMAGE = BaseImage(id="i", path="/i", format="qcow2", checksum="c" * 16, size_bytes=1)
ROOT = DiskSpec(device="vda", source="image", serial="root", boot_index=0, size_gib=1, image=IMAGE)
VOLUME = DiskSpec(device="vdb", source="volume", serial="vol", volume_path="/v", volume_format="qcow2", size_gib=1)
NIC = NicSpec(port_id="port", mac="fa:16:3e:00:00:01", tap="tap0", netns="ns")
SPEC = ServerSpec(
    id="5c6f2f60-5cbb-4b7a-a3a6-b8d5f3d7a000", name="n", hostname="h", vcpus=1, memory_mib=64, disks=[ROOT]
)


def _record(**changes: Any) -> Record:
    local = {"root": LocalDisk("root.qcow2", "qcow2", "c.qcow2", "qcow2", None, IMAGE.checksum)}
    return Record(**{"spec": SPEC, "booted": SPEC, "power_done": "running", "local_disks": local, **changes})


def _verbs(spec: ServerSpec, record: Record, observed: Observed, *serials: str) -> list[str]:
    attached = frozenset(disk_id(serial) for serial in (serials or ("root",)))
    return [step.verb for step in plan_server(spec, record, observed, Devices(attached, {"root": 1 << 30}))]


def _spec(**changes: Any) -> ServerSpec:
    return msgspec.structs.replace(SPEC, **changes)


@pytest.mark.parametrize(
    "wanted, observed, verbs",
    [
        ("running", "running", []),
        ("running", "down", ["start"]),
        ("running", "paused", ["unpause"]),
        ("running", "suspended", ["restore"]),
        ("paused", "running", ["pause"]),
        ("paused", "paused", []),
        ("paused", "down", ["start", "pause"]),
        ("paused", "suspended", ["restore", "pause"]),
        ("suspended", "running", ["suspend"]),
        ("suspended", "paused", ["suspend"]),
        ("suspended", "suspended", []),
        ("stopped", "running", ["stop"]),
        ("stopped", "paused", ["stop"]),
        ("stopped", "suspended", ["forget_saved_state"]),
        ("stopped", "down", []),
    ],
)
def test_power(wanted: Any, observed: Any, verbs: list[str]) -> None:
    assert _verbs(_spec(power=wanted), _record(), observed) == verbs


def test_guest_that_ended_by_itself_waits_for_a_new_ask() -> None:
    ended = _record(ended="stopped")
    assert _verbs(SPEC, ended, "down") == []
    assert _verbs(_spec(power_token="new"), ended, "down") == ["start"]
    assert _verbs(_spec(reboot_token="new"), ended, "down") == ["start"]
    assert _verbs(SPEC, _record(ended="crashed", power_done="stopped"), "down") == ["start"]


def test_suspend_needs_a_running_guest_except_at_birth() -> None:
    with pytest.raises(HypervisorError):
        _verbs(_spec(power="suspended"), _record(power_done="stopped"), "down")
    assert _verbs(_spec(power="suspended"), _record(power_done=None), "down") == ["start", "suspend"]


@pytest.mark.parametrize("kind, verb", [("soft", "stop"), ("hard", "kill")])
def test_reboot_is_an_end_and_a_start(kind: Any, verb: str) -> None:
    asked = _spec(reboot_token="t", reboot_kind=kind)
    assert _verbs(asked, _record(), "running") == [verb, "start"]
    assert _verbs(asked, _record(reboot_token="t"), "running") == []
    assert _verbs(asked, _record(), "suspended") == ["forget_saved_state", "start"]


def test_rebuild_ends_the_guest() -> None:
    asked = _spec(disks=[msgspec.structs.replace(ROOT, fill_token="t")])
    assert _verbs(asked, _record(), "running") == ["kill", "start"]
    other = msgspec.structs.replace(IMAGE, checksum="d" * 16)
    assert _verbs(_spec(disks=[msgspec.structs.replace(ROOT, image=other)]), _record(), "running") == ["kill", "start"]


def test_devices_follow_the_spec_before_power_does() -> None:
    wider = _spec(disks=[ROOT, VOLUME], nics=[NIC], power="paused")
    assert _verbs(wider, _record(), "running") == ["attach_disk", "attach_nic", "pause"]
    booted = _record(booted=_spec(disks=[ROOT, VOLUME], nics=[NIC]))
    assert _verbs(SPEC, booted, "running", "root", "vol") == ["detach_disk", "detach_nic"]
    assert _verbs(_spec(disks=[msgspec.structs.replace(ROOT, size_gib=2)]), _record(), "running") == ["resize_disk"]
    assert _verbs(_spec(disks=[ROOT, VOLUME]), _record(), "suspended") == ["restore", "attach_disk"]


def test_snapshot_is_taken_when_the_disk_is_in_reach() -> None:
    asked = {"snapshot_token": "t", "snapshot_path": "/s"}
    assert _verbs(_spec(**asked), _record(), "running") == ["snapshot"]
    assert _verbs(_spec(**asked, power="stopped"), _record(), "running") == ["stop", "snapshot"]
    assert _verbs(_spec(**asked, power="suspended"), _record(), "running") == ["snapshot", "suspend"]
    assert _verbs(_spec(**asked), _record(snapshot_token="t"), "running") == []


def test_ports_follow_the_letters_and_stay() -> None:
    third = msgspec.structs.replace(VOLUME, serial="third", device="/dev/vdc")
    ports = plan_ports({}, [ROOT, third], [NIC])
    assert ports == {disk_id("root"): DISK_PORTS[0], disk_id("third"): DISK_PORTS[2], nic_id("port"): NIC_PORTS[0]}
    more = plan_ports(ports, [ROOT, third, VOLUME], [NIC])
    assert more[disk_id("vol")] == DISK_PORTS[1] and more[disk_id("third")] == DISK_PORTS[2]
    assert disk_id("third") not in plan_ports(more, [ROOT], [])
    with pytest.raises(HypervisorError, match="16 disks at most"):
        plan_ports({}, [msgspec.structs.replace(VOLUME, serial=str(n)) for n in range(17)], [])


def test_names_fit_into_qemu() -> None:
    serial = "5c6f2f60-5cbb-4b7a-a3a6-b8d5f3d7a000"
    assert len(node_name(serial)) <= 31
    assert disk_device(msgspec.structs.replace(VOLUME, serial=serial), "p")["serial"] == serial[:20]


@pytest.mark.parametrize("accelerator, cpu", [("tcg", "max"), ("kvm", "host")])
def test_command_line(accelerator: str, cpu: str) -> None:
    facts = HostFacts("qemu", "7.2", (7, 2), accelerator, "", "", "x86_64", None, True, None)
    config = QemuConfig(instances_dir=Path("/a,b"), base_cache_dir=Path("/c"))
    parts = Parts(nodes=[{"driver": "raw"}], devices=[], netdevs=[], incoming=True)
    words = build_command(config, facts, ServerFiles(Path("/a,b/x")), _spec(hostname="a,b c"), parts)
    assert words[words.index("-cpu") + 1] == cpu
    assert words[words.index("-name") + 1] == "guest=a-b-c"
    assert any("path=/a,,b/x/run/qmp," in word for word in words)
    assert "/a,b/x/run/pid" in words and SPEC.id in words
    assert words[words.index("-incoming") + 1] == "defer"
    for flag, word in itertools.pairwise(words):
        if flag in {"-device", "-blockdev", "-object", "-netdev"}:
            json.loads(word)
    with pytest.raises(HypervisorError, match="ovmf"):
        build_command(config, facts, ServerFiles(Path("/x")), _spec(firmware="uefi"), parts)


def test_ids_that_are_no_names_are_refused() -> None:
    assert is_server_id(SPEC.id)
    assert not any(is_server_id(text) for text in ("", "..", ".lock", "a/b", "-a", "x" * 65))
