# SPDX-License-Identifier: Apache-2.0
"""The simulated hypervisor keeps the contract, quickly, and fails when told to."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from altostratus.contracts.hypervisor import HypervisorError, ServerSpec
from altostratus.drivers.hypervisor.fake import FailStarts, FakeConfig, FakeHypervisor
from altostratus.testing.hypervisor_conformance import HypervisorConformance
from tests.drivers.hypervisor.rigs import FakeRig


class TestFake(HypervisorConformance):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[FakeRig]:
        rig = FakeRig(tmp_path)
        yield rig
        rig.close()


def _spec(number: int) -> ServerSpec:
    return ServerSpec(id=f"server-{number}", name="n", hostname="h", vcpus=1, memory_mib=64)


def test_thousands_of_servers_take_no_time() -> None:
    driver = FakeHypervisor()
    start = time.process_time()
    for number in range(2000):
        driver.ensure_server(_spec(number))
    assert (time.process_time() - start) / 2000 < 0.001
    assert driver.usage().running == 2000


def test_the_named_start_fails_and_the_next_does_not() -> None:
    driver = FakeHypervisor(FakeConfig(fail_start=FailStarts({1})))
    with pytest.raises(HypervisorError) as failure:
        driver.ensure_server(_spec(1))
    assert not failure.value.final
    assert driver.ensure_server(_spec(1)).power == "running"


def test_attaching_a_local_disk_is_not_a_rebuild() -> None:
    driver = FakeHypervisor()
    first = driver.ensure_server(_spec(1))
    disk = FakeRig.root_disk(None, "server-1")  # type: ignore[arg-type]
    second = driver.ensure_server(msgspec.structs.replace(_spec(1), disks=[disk]))
    assert second.started_at == first.started_at and second.disks == [disk.serial]
