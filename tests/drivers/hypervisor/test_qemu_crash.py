# SPDX-License-Identifier: Apache-2.0
"""The agent is killed at arbitrary moments, again and again: one guest runs afterwards, and nothing leaks."""

import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import msgspec
import pytest

from altostratus.contracts.hypervisor import DiskSpec, ServerSpec
from altostratus.drivers.hypervisor.qemu import QemuConfig, QemuHypervisor
from altostratus.drivers.hypervisor.qemu.process import scan_guests
from altostratus.testing.hypervisor_conformance import make_spec
from tests.drivers.hypervisor.rigs import QemuRig

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the rig needs root"),
]

_ROUNDS = 12


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


def _work_for_ever(config: QemuConfig, spec: ServerSpec, volume: DiskSpec, ready: Event) -> None:
    """In a process of its own: every kind of change, round and round."""
    driver = QemuHypervisor(config)
    ready.set()
    with_volume = msgspec.structs.replace(spec, disks=[*spec.disks, volume])
    count = 0
    while True:
        count += 1
        token = f"{os.getpid()}-{count}"
        driver.ensure_server(spec)
        driver.ensure_server(with_volume)
        driver.ensure_server(msgspec.structs.replace(with_volume, power="suspended"))
        driver.ensure_server(with_volume)
        driver.ensure_server(msgspec.structs.replace(spec, reboot_token=token, reboot_kind="hard"))
        driver.ensure_server(msgspec.structs.replace(spec, power="paused"))
        driver.ensure_server(msgspec.structs.replace(spec, power="stopped"))


def test_killed_at_any_moment_the_next_agent_makes_it_right(rig: QemuRig) -> None:
    spec, volume = make_spec(rig), rig.volume("vdb", 1)
    moments = random.Random(7)
    spawn = multiprocessing.get_context("spawn")
    for round_number in range(_ROUNDS):
        rig.driver.close()
        ready = spawn.Event()
        agent = spawn.Process(target=_work_for_ever, args=(rig.config, spec, volume, ready))
        agent.start()
        assert ready.wait(20)
        time.sleep(moments.uniform(0, 0.5))
        agent.kill()
        agent.join()
        rig.driver = QemuHypervisor(rig.config)
        token = f"round-{round_number}"
        wanted = msgspec.structs.replace(spec, power_token=token, reboot_token=token, reboot_kind="hard")
        state = rig.driver.ensure_server(wanted)
        assert (state.power, state.disks) == ("running", [spec.disks[0].serial])
        assert list(scan_guests(rig.config.instances_dir)) == [spec.id]
    rig.driver.remove_server(spec.id)
    rig.driver.prune()
    assert rig.leftovers() == []
