# SPDX-License-Identifier: Apache-2.0
"""What every hypervisor driver must do, told as tests.

A driver's test module subclasses `HypervisorConformance` and gives a fixture `rig` that returns a `Rig`. Guests in
this suite need not cooperate: they print `login:` on the serial console and ignore the power button.
"""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from altostratus.contracts.hypervisor import (
    DiskSpec,
    Hypervisor,
    HypervisorError,
    NicSpec,
    ServerSpec,
    ServerState,
)

_PATIENCE_S = 20.0


class Rig(Protocol):
    """What the suite needs from the driver under test. `driver` is open; `reopen` stands for an agent restart."""

    directory: Path

    @property
    def driver(self) -> Hypervisor: ...

    def root_disk(self, server_id: str) -> DiskSpec: ...

    def volume(self, device: str, size_gib: int) -> DiskSpec:
        """A new empty volume."""

    def nic(self) -> NicSpec:
        """A new network card whose tap is there."""

    def reopen(self) -> Hypervisor:
        """Close the driver and open it again, as `driver`."""

    def power_off_guest(self, server_id: str) -> None:
        """The guest powers itself off."""

    def kill_guest(self, server_id: str) -> None:
        """The guest's process dies."""

    def leftovers(self) -> list[str]:
        """Files and processes that are there although no server is."""


def wait_until(check: Callable[[], Any], what: str, timeout_s: float = _PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.02)


def make_spec(rig: Rig, **changes: Any) -> ServerSpec:
    """A small server with a root disk, forced off without waiting."""
    server_id = changes.pop("id", None) or str(uuid.uuid4())
    spec = ServerSpec(
        id=server_id,
        name="conformance",
        hostname="conformance",
        vcpus=1,
        memory_mib=32,
        disks=[rig.root_disk(server_id)],
        shutdown_timeout_s=0,
    )
    return msgspec.structs.replace(spec, **changes)


def ensure_twice(driver: Hypervisor, spec: ServerSpec) -> ServerState:
    """Every ask may be repeated and then changes nothing."""
    first = driver.ensure_server(spec)
    second = driver.ensure_server(spec)
    assert (first.power, first.started_at) == (second.power, second.started_at)
    assert first.disks == second.disks and first.nics == second.nics
    return second


class HypervisorConformance:
    """Subclass it, and define the fixture `rig`."""

    def test_info_is_honest_about_the_host(self, rig: Rig) -> None:
        info, usage = rig.driver.info(), rig.driver.usage()
        assert info.vcpus > 0 and info.memory_mib > 0 and info.disk_gib > 0
        assert info.architecture and info.version and info.cpu_model
        assert (usage.servers, usage.running) == (0, 0)

    def test_what_is_not_there_is_absent(self, rig: Rig) -> None:
        server_id = str(uuid.uuid4())
        assert rig.driver.show_server(server_id).power == "absent"
        assert rig.driver.list_servers() == []
        assert rig.driver.console_log(server_id, 100) == b""
        rig.driver.remove_server(server_id)
        rig.driver.hurry(server_id)
        with pytest.raises(HypervisorError):
            rig.driver.stats(server_id)

    def test_start_shows_a_running_guest(self, rig: Rig) -> None:
        spec = make_spec(rig)
        state = ensure_twice(rig.driver, spec)
        assert state.power == "running" and state.started_at is not None
        assert (state.vcpus, state.memory_mib) == (spec.vcpus, spec.memory_mib)
        assert state.disks == [spec.disks[0].serial]
        assert state.simulated == rig.driver.info().simulated
        assert [found.id for found in rig.driver.list_servers()] == [spec.id]
        assert rig.driver.usage().running == 1
        wait_until(lambda: b"login:" in rig.driver.console_log(spec.id, 10_000), "the guest shows its login prompt")
        assert len(rig.driver.console_log(spec.id, 3)) == 3
        if not state.simulated:
            assert state.vnc is not None and Path(state.vnc).is_socket()
            assert state.serial_console is not None and Path(state.serial_console).is_socket()

    def test_stop_and_start_again_keeps_the_console_log(self, rig: Rig) -> None:
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        wait_until(lambda: b"login:" in rig.driver.console_log(spec.id, 10_000), "the first boot")
        stopped = ensure_twice(rig.driver, msgspec.structs.replace(spec, power="stopped"))
        assert stopped.power == "stopped" and stopped.started_at is None and stopped.vnc is None
        assert ensure_twice(rig.driver, spec).power == "running"
        wait_until(lambda: rig.driver.console_log(spec.id, 10_000).count(b"login:") == 2, "the second boot")

    def test_a_server_can_be_born_stopped(self, rig: Rig) -> None:
        spec = make_spec(rig, power="stopped")
        assert ensure_twice(rig.driver, spec).power == "stopped"
        assert ensure_twice(rig.driver, msgspec.structs.replace(spec, power="running")).power == "running"

    def test_pause_and_unpause(self, rig: Rig) -> None:
        spec = make_spec(rig)
        started = rig.driver.ensure_server(spec)
        assert ensure_twice(rig.driver, msgspec.structs.replace(spec, power="paused")).power == "paused"
        resumed = ensure_twice(rig.driver, spec)
        assert (resumed.power, resumed.started_at) == ("running", started.started_at)

    def test_suspend_and_resume_is_not_a_boot(self, rig: Rig) -> None:
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        wait_until(lambda: b"login:" in rig.driver.console_log(spec.id, 10_000), "the boot")
        suspended = msgspec.structs.replace(spec, power="suspended")
        assert ensure_twice(rig.driver, suspended).power == "suspended"
        assert rig.reopen().show_server(spec.id).power == "suspended"
        assert ensure_twice(rig.driver, spec).power == "running"
        assert rig.driver.console_log(spec.id, 10_000).count(b"login:") == 1

    def test_suspend_of_a_stopped_server_is_refused(self, rig: Rig) -> None:
        spec = make_spec(rig, power="stopped")
        rig.driver.ensure_server(spec)
        with pytest.raises(HypervisorError) as refusal:
            rig.driver.ensure_server(msgspec.structs.replace(spec, power="suspended"))
        assert refusal.value.final

    def test_reboot_happens_once_per_token(self, rig: Rig) -> None:
        spec = make_spec(rig)
        first = rig.driver.ensure_server(spec)
        again = msgspec.structs.replace(spec, reboot_token="one", reboot_kind="hard")
        second = ensure_twice(rig.driver, again)
        assert second.reboot_token == "one" and second.started_at != first.started_at
        soft = msgspec.structs.replace(spec, reboot_token="two", reboot_kind="soft", shutdown_timeout_s=1)
        third = ensure_twice(rig.driver, soft)
        assert third.reboot_token == "two" and third.started_at != second.started_at

    def test_volume_attach_grow_and_network_card(self, rig: Rig) -> None:
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        volume, nic = rig.volume("vdb", 1), rig.nic()
        with_both = msgspec.structs.replace(spec, disks=[*spec.disks, volume], nics=[nic])
        state = ensure_twice(rig.driver, with_both)
        assert state.disks == [spec.disks[0].serial, volume.serial] and state.nics == [nic.port_id]
        assert state.disk_sizes_bytes[volume.serial] == 1 << 30
        larger = msgspec.structs.replace(volume, size_gib=2)
        grown = msgspec.structs.replace(with_both, disks=[*spec.disks, larger])
        assert ensure_twice(rig.driver, grown).disk_sizes_bytes[volume.serial] == 2 << 30
        cold = msgspec.structs.replace(grown, reboot_token="cold", reboot_kind="hard")
        assert ensure_twice(rig.driver, cold).disks == [spec.disks[0].serial, volume.serial]
        stats = rig.driver.stats(spec.id)
        assert (stats["num_disks"], stats["num_nics"], stats["state"]) == (2, 1, "running")

    def test_new_size_counts_from_the_next_start(self, rig: Rig) -> None:
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        resized = msgspec.structs.replace(spec, vcpus=2, memory_mib=48)
        rig.driver.ensure_server(msgspec.structs.replace(resized, power="stopped"))
        state = rig.driver.ensure_server(resized)
        assert (state.vcpus, state.memory_mib) == (2, 48)

    @pytest.mark.parametrize("power", ["running", "stopped", "paused"])
    def test_snapshot_is_one_file_that_stands_alone(self, rig: Rig, power: Any) -> None:
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        target = rig.directory / "snapshot.qcow2"
        asked = msgspec.structs.replace(spec, power=power, snapshot_token="snap", snapshot_path=str(target))
        state = ensure_twice(rig.driver, asked)
        assert (state.power, state.snapshot_token) == (power, "snap")
        assert state.snapshot_size_bytes == target.stat().st_size > 0
        header = target.read_bytes()[:16]
        assert header[:4] == b"QFI\xfb" and header[8:16] == bytes(8), "a qcow2 file without a backing file"
        target.unlink()
        rig.driver.ensure_server(asked)
        assert not target.exists(), "a token is carried out once"

    def test_rebuild_fills_the_root_disk_anew(self, rig: Rig) -> None:
        spec = make_spec(rig)
        first = rig.driver.ensure_server(spec)
        rebuilt = msgspec.structs.replace(spec, disks=[msgspec.structs.replace(spec.disks[0], fill_token="rebuild-1")])
        second = ensure_twice(rig.driver, rebuilt)
        assert second.power == "running" and second.started_at != first.started_at

    def test_guest_that_powers_itself_off_stays_off(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.driver.set_listener(heard.append)
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        rig.power_off_guest(spec.id)
        wait_until(lambda: spec.id in heard, "the listener is told")
        state = rig.driver.show_server(spec.id)
        assert state.power == "stopped" and state.reason
        assert ensure_twice(rig.driver, spec).power == "stopped"
        asked = msgspec.structs.replace(spec, power_token="again")
        assert ensure_twice(rig.driver, asked).power == "running"

    def test_crashed_guest_is_seen_and_started_on_request(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.driver.set_listener(heard.append)
        spec = make_spec(rig)
        rig.driver.ensure_server(spec)
        rig.kill_guest(spec.id)
        wait_until(lambda: spec.id in heard, "the listener is told")
        state = rig.driver.show_server(spec.id)
        assert state.power == "crashed" and state.reason
        assert ensure_twice(rig.driver, spec).power == "crashed"
        assert ensure_twice(rig.driver, msgspec.structs.replace(spec, power="stopped")).power == "stopped"
        assert ensure_twice(rig.driver, spec).power == "running"

    def test_guests_outlive_the_agent(self, rig: Rig) -> None:
        spec = make_spec(rig)
        before = rig.driver.ensure_server(spec)
        after = rig.reopen().show_server(spec.id)
        assert (after.power, after.started_at) == ("running", before.started_at)
        assert ensure_twice(rig.driver, spec).started_at == before.started_at
        assert ensure_twice(rig.driver, msgspec.structs.replace(spec, power="stopped")).power == "stopped"

    def test_remove_leaves_nothing(self, rig: Rig) -> None:
        specs = [make_spec(rig), make_spec(rig, power="stopped"), make_spec(rig, power="suspended")]
        for spec in specs:
            rig.driver.ensure_server(spec)
        for spec in specs:
            rig.driver.remove_server(spec.id)
            rig.driver.remove_server(spec.id)
            assert rig.driver.show_server(spec.id).power == "absent"
        rig.driver.prune()
        assert rig.driver.list_servers() == []
        assert rig.leftovers() == []
