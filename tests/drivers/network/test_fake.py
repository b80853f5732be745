# SPDX-License-Identifier: Apache-2.0
"""The simulated network keeps the contract and lets tests plant faults."""

import pytest

from altostratus.contracts.network import NetworkDriver
from altostratus.drivers.network.fake import FakeNetworkDriver
from altostratus.testing.network_conformance import NetworkConformance, WorldBuilder, id_of


class TestFake(NetworkConformance):
    @pytest.fixture
    def driver(self) -> NetworkDriver:
        return FakeNetworkDriver()

    def test_says_that_it_is_simulated(self, driver: NetworkDriver) -> None:
        assert driver.info().simulated


def world_builder() -> WorldBuilder:
    builder = WorldBuilder()
    builder.add_network("net", "10.0.0")
    builder.add_port("port", "net", "10.0.0.9")
    return builder


def test_a_broken_row() -> None:
    driver = FakeNetworkDriver()
    driver.break_row("port", id_of("port"), "The cable is cut.")
    result = driver.apply(world_builder().world(), resync=False)
    assert result.errors == {("port", id_of("port")): "The cable is cut."}
    driver.break_row("port", id_of("port"), None)
    assert driver.apply(world_builder().world(), resync=False).errors == {}


def test_a_failing_pass_changes_nothing() -> None:
    driver = FakeNetworkDriver()
    driver.fail_next_pass(OSError("no space"))
    with pytest.raises(OSError, match="no space"):
        driver.apply(world_builder().world(), resync=False)
    assert driver.world.networks == {}
    driver.apply(world_builder().world(), resync=False)
    assert list(driver.world.networks) == [id_of("net")]


def test_problems_end_with_a_resync() -> None:
    driver = FakeNetworkDriver()
    driver.add_problem("dnsmasq died")
    driver.apply(world_builder().world(), resync=False)
    assert driver.problems() == ["dnsmasq died"]
    driver.apply(world_builder().world(), resync=True)
    assert driver.problems() == []
    assert driver.resyncs == 1
