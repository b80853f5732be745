# SPDX-License-Identifier: Apache-2.0
"""The network agent over the simulated driver: every row gets its answer, faults heal by themselves."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from altostratus.agents.network import agent as agent_module
from altostratus.agents.network.agent import NetworkAgent
from altostratus.contracts.host_api import Agent, Key, Report, Wanted
from altostratus.contracts.network import NetworkWorld
from altostratus.drivers.network.fake import FakeNetworkDriver
from altostratus.testing.network_conformance import WorldBuilder, id_of, rule


class Control:
    """Plays the control process: holds wanted rows, collects reports."""

    def __init__(self) -> None:
        self.wanted: dict[Key, Wanted] = {}
        self.changed: set[Key] = set()
        self.reports: list[Report] = []
        self._news = threading.Condition()

    def want(self, world: NetworkWorld) -> None:
        """Rows of this world, with new generations where they differ; all others become absent."""
        tables: dict[str, dict[str, Any]] = {
            "network": world.networks,
            "port": world.ports,
            "security_group": world.security_groups,
            "router": world.routers,
        }
        rows = {Key(kind, i): msgspec.to_builtins(spec) for kind, table in tables.items() for i, spec in table.items()}
        for key in rows.keys() | self.wanted.keys():
            self.want_row(key, rows.get(key))

    def want_row(self, key: Key, spec: dict[str, Any] | None) -> None:
        old = self.wanted.get(key)
        if old is None or old.spec != spec:
            generation = old.generation + 1 if old else 1
            self.wanted[key] = Wanted(kind=key.kind, id=key.id, generation=generation, spec=spec)
            self.changed.add(key)

    def take(self, report: Report) -> None:
        with self._news:
            self.reports.append(report)
            self._news.notify_all()

    def drive(self, agent: Agent, *, resync: bool = False) -> list[Report]:
        """One turn of the runner; returns what was reported."""
        self.reports.clear()
        changed = frozenset(self.wanted if resync else self.changed)
        self.changed.clear()
        agent.apply(dict(self.wanted), changed, self.take, resync=resync)
        return list(self.reports)

    def wait_for(self, condition: Callable[[Report], bool]) -> Report:
        with self._news:
            assert self._news.wait_for(lambda: any(map(condition, self.reports)), timeout=5)
            return next(report for report in self.reports if condition(report))


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def driver() -> FakeNetworkDriver:
    return FakeNetworkDriver()


def ask(question: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"question": question, **params}


@pytest.fixture
def agent(driver: FakeNetworkDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkAgent]:
    monkeypatch.setattr(agent_module, "_QUICKEST_RETRY_S", 0.02)
    made = NetworkAgent(driver, ask, check_interval_s=0.01)
    yield made
    made.close()


@pytest.fixture
def cloud() -> WorldBuilder:
    builder = WorldBuilder()
    builder.add_network("net", "10.0.0")
    builder.add_group("default", rule("ssh", "ingress", protocol="tcp", port_min=22, port_max=22))
    builder.add_port("one", "net", "10.0.0.5", "default")
    builder.add_router("router", {"net": "10.0.0.1"})
    return builder


def by_key(reports: list[Report]) -> dict[Key, Report]:
    return {Key(report.kind, report.id): report for report in reports}


def test_all_rows_in_one_pass(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    control.want(cloud.world())
    reports = by_key(control.drive(agent))
    assert driver.passes == 1
    assert driver.world == cloud.world()
    assert reports.keys() == control.wanted.keys()
    assert all(report.error is None and report.generation == 1 for report in reports.values())
    port = cloud.ports["one"]
    assert reports[Key("port", port.id)].state == {"tap": port.tap, "netns": None}


def test_only_what_changed_is_reported(agent: NetworkAgent, control: Control, cloud: WorldBuilder) -> None:
    control.want(cloud.world())
    control.drive(agent)
    cloud.add_port("two", "net", "10.0.0.6", "default")
    control.want(cloud.world())
    assert list(by_key(control.drive(agent))) == [Key("port", id_of("two"))]


def test_absent_rows_are_removed_and_reported(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    control.want(cloud.world())
    control.drive(agent)
    port = cloud.ports.pop("one")
    control.want(cloud.world())
    report = by_key(control.drive(agent))[Key("port", port.id)]
    assert (report.generation, report.state, report.error) == (2, {}, None)
    assert port.id not in driver.world.ports


def test_a_resync_drops_what_is_no_longer_wanted(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    control.want(cloud.world())
    control.drive(agent)
    known = driver.world.networks[id_of("net")]
    del control.wanted[Key("port", id_of("one"))]
    control.drive(agent, resync=True)
    assert driver.world.ports == {}
    # what did not change is the very same object
    assert driver.world.networks[id_of("net")] is known
    assert driver.resyncs == 1


def test_a_row_that_fails_is_reported_and_mended(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    driver.break_row("router", id_of("router"), "The router is stuck.")
    control.want(cloud.world())
    key = Key("router", id_of("router"))
    report = by_key(control.drive(agent))[key]
    assert (report.error, report.final) == ("The router is stuck.", False)
    control.reports.clear()
    driver.break_row("router", id_of("router"), None)
    mended = control.wait_for(lambda one: one.error is None)
    assert (Key(mended.kind, mended.id), mended.generation) == (key, 1)
    assert len(control.reports) == 1


def test_a_port_before_its_network(agent: NetworkAgent, control: Control, cloud: WorldBuilder) -> None:
    network = cloud.networks.pop("net")
    cloud.routers.clear()
    control.want(cloud.world())
    key = Key("port", id_of("one"))
    assert by_key(control.drive(agent))[key].error
    cloud.networks["net"] = network
    control.want(cloud.world())
    reports = by_key(control.drive(agent))
    assert reports[key].error is None
    assert reports[key].state["tap"] == cloud.ports["one"].tap


def test_a_spec_that_cannot_be_read(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    control.want(cloud.world())
    control.drive(agent)
    key = Key("port", id_of("one"))
    control.want_row(key, {"id": key.id, "mac": 7})
    report = by_key(control.drive(agent))[key]
    assert report.final
    assert "cannot be read" in str(report.error)
    # what runs is not torn down for it
    assert key.id in driver.world.ports


def test_a_pass_that_fails_as_a_whole(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    driver.fail_next_pass(OSError("no space left"))
    control.want(cloud.world())
    reports = by_key(control.drive(agent))
    assert reports.keys() == control.wanted.keys()
    assert all("no space left" in str(report.error) for report in reports.values())
    control.reports.clear()
    for key in control.wanted:
        assert control.wait_for(lambda one, key=key: Key(one.kind, one.id) == key).error is None  # type: ignore[misc]


def test_what_died_is_repaired(
    agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder
) -> None:
    control.want(cloud.world())
    control.drive(agent)
    driver.add_problem("dnsmasq has ended.")
    deadline = time.monotonic() + 5
    while driver.problems() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert driver.problems() == []
    assert driver.resyncs == 1


def test_metadata_is_asked_of_the_control_process(agent: NetworkAgent, driver: FakeNetworkDriver) -> None:
    request = {"network_id": "n", "ip": "10.0.0.5", "method": "GET", "path": "/latest", "headers": {}}
    assert driver.ask_metadata(request) == {"question": "metadata", **request}


def test_calls_and_facts(agent: NetworkAgent, driver: FakeNetworkDriver, control: Control, cloud: WorldBuilder) -> None:
    control.want(cloud.world())
    control.drive(agent)
    lease = {"mac": "m", "ip_address": "10.0.0.5", "hostname": "one", "expires_at_s": "0"}
    driver.set_leases("n", [lease])
    calls = agent.calls()
    assert calls["leases"]({"network_id": "n"}) == {"leases": [lease]}
    assert calls["world"]({}) == {"argv_prefix": []}
    assert calls["problems"]({}) == {"problems": []}
    facts = agent.facts()
    assert (facts["driver"], facts["simulated"], facts["errors"]) == ("fake", True, 0)
    assert facts["counts"] == {"networks": 1, "ports": 1, "routers": 1, "security_groups": 1}
