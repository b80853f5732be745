# SPDX-License-Identifier: Apache-2.0
"""The compute agent over the simulated hypervisor."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from altostratus.agents.compute import ComputeAgent
from altostratus.agents.compute.plan import must_hurry, plan_pass, plan_retry_s
from altostratus.agents.compute.work_queue import WorkQueue
from altostratus.contracts.host_api import Agent, Key, Report, Wanted
from altostratus.contracts.hypervisor import ServerSpec, ServerState
from altostratus.drivers.hypervisor.fake import FailStarts, FakeConfig, FakeHypervisor
from altostratus.kernel.errors import Conflict


def row(server_id: str, generation: int = 1, **changes: Any) -> Wanted:
    spec = ServerSpec(id=server_id, name="n", hostname="h", vcpus=1, memory_mib=64)
    return Wanted(
        kind="server",
        id=server_id,
        generation=generation,
        spec=msgspec.to_builtins(msgspec.structs.replace(spec, **changes)),
    )


class Control:
    """Holds the rows and collects what the agent reports."""

    def __init__(self, driver: FakeHypervisor) -> None:
        self.agent = ComputeAgent(driver)
        self.rows: dict[Key, Wanted] = {}
        self.reports: list[Report] = []
        self._arrived = threading.Condition()

    def want(self, *rows: Wanted, resync: bool = False) -> None:
        for wanted in rows:
            self.rows[wanted.key] = wanted
        self.agent.apply(self.rows, frozenset(wanted.key for wanted in rows), self.receive, resync=resync)

    def receive(self, report: Report) -> None:
        with self._arrived:
            self.reports.append(report)
            self._arrived.notify_all()

    def expect(self, check: Callable[[Report], bool]) -> Report:
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(map(check, self.reports)), 5), self.reports
            return next(filter(check, self.reports))


@pytest.fixture
def driver() -> FakeHypervisor:
    return FakeHypervisor()


@pytest.fixture
def control(driver: FakeHypervisor) -> Iterator[Control]:
    control = Control(driver)
    yield control
    control.agent.close()


def test_it_is_an_agent(control: Control) -> None:
    agent: Agent = control.agent
    assert agent.kinds == ("server",)
    facts = agent.facts()
    assert facts["hypervisor"]["simulated"] is True and facts["usage"]["running"] == 0


def test_a_row_becomes_a_server_and_goes_again(control: Control, driver: FakeHypervisor) -> None:
    control.want(row("a"))
    report = control.expect(lambda report: report.generation == 1)
    assert (report.error, report.state["power"], report.state["simulated"]) == (None, "running", True)
    msgspec.convert(report.state, ServerState)
    control.want(Wanted(kind="server", id="a", generation=2, spec=None))
    assert control.expect(lambda report: report.generation == 2).state["power"] == "absent"
    assert driver.list_servers() == []


def test_failures_are_told_and_tried_again() -> None:
    control = Control(FakeHypervisor(FakeConfig(fail_start=FailStarts({1, 2}))))
    control.want(row("a"))
    failure = control.expect(lambda report: report.error is not None)
    assert not failure.final
    assert control.expect(lambda report: report.error is None).state["power"] == "running"
    assert len(control.reports) == 3
    control.agent.close()


def test_final_failures_wait_for_a_newer_row() -> None:
    control = Control(FakeHypervisor(FakeConfig(fail_start=FailStarts({1}, final=True))))
    control.want(row("a"))
    assert control.expect(lambda report: report.error is not None).final
    time.sleep(0.3)
    assert len(control.reports) == 1
    control.want(row("a", 2))
    control.expect(lambda report: report.generation == 2 and report.error is None)
    control.agent.close()


def test_unknown_specs_are_refused_for_good(control: Control) -> None:
    control.want(Wanted(kind="server", id="a", generation=1, spec={"id": "a"}))
    report = control.expect(lambda report: report.error is not None)
    assert report.final and "does not understand" in str(report.error)


def test_a_mistake_of_the_driver_is_reported_not_lost(
    control: Control, driver: FakeHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(spec: ServerSpec) -> ServerState:
        raise ZeroDivisionError

    monkeypatch.setattr(driver, "ensure_server", break_down)
    control.want(row("a"))
    assert not control.expect(lambda report: report.error is not None).final
    monkeypatch.undo()
    control.expect(lambda report: report.error is None)


@pytest.mark.parametrize("crashed, power", [(False, "stopped"), (True, "crashed")])
def test_a_guest_that_ends_is_reported_unasked(
    control: Control, driver: FakeHypervisor, crashed: bool, power: str
) -> None:
    control.want(row("a", 7))
    control.expect(lambda report: report.generation == 7)
    driver.end_guest("a", crashed=crashed)
    report = control.expect(lambda report: report.state["power"] == power)
    assert report.generation == 7 and report.error is None and report.state["reason"]


def test_resync_removes_what_no_row_names(control: Control, driver: FakeHypervisor) -> None:
    driver.ensure_server(msgspec.convert(row("stray").spec, ServerSpec))
    control.want(row("a"))
    control.expect(lambda report: report.id == "a")
    assert len(driver.list_servers()) == 2
    control.want(resync=True)
    deadline = time.monotonic() + 5
    while len(driver.list_servers()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [state.id for state in driver.list_servers()] == ["a"]
    assert {report.id for report in control.reports} == {"a"}


def test_calls_answer_questions(control: Control) -> None:
    control.want(row("a"))
    control.expect(lambda report: report.id == "a")
    calls = control.agent.calls()
    log = calls["console_log"]({"server_id": "a", "max_bytes": 7})
    assert base64.b64decode(log["data_base64"]) == b"login: "
    assert calls["stats"]({"server_id": "a"})["state"] == "running"
    with pytest.raises(Conflict, match="no console now"):
        calls["vnc"]({"server_id": "a"})


def test_a_thousand_servers_at_once(control: Control, driver: FakeHypervisor) -> None:
    control.want(*(row(f"s{number}") for number in range(1000)))
    control.expect(lambda report: len(control.reports) >= 1000)
    assert driver.usage().running == 1000


def test_plan_of_a_pass() -> None:
    a, b = row("a"), Wanted(kind="server", id="b", generation=1, spec=None)
    wanted = {a.key: a, b.key: b}
    todo = plan_pass(wanted, {a.key, Key("server", "gone"), Key("port", "a")}, ["a", "b", "stray"])
    assert (todo.rows, todo.leftovers) == ([a], ["stray"])


def test_retries_start_quick_and_end_slow() -> None:
    delays = [plan_retry_s(attempt) for attempt in range(1, 40)]
    assert delays[0] == 0.1 and delays == sorted(delays) and delays[-1] == 30


def test_when_to_hurry() -> None:
    gone = Wanted(kind="server", id="a", generation=2, spec=None)
    assert must_hurry(row("a"), gone)
    assert must_hurry(row("a"), row("a", 2, reboot_kind="hard", reboot_token="t"))
    assert not must_hurry(row("a"), row("a", 2, reboot_kind="soft", reboot_token="t"))
    assert not must_hurry(None, gone) and not must_hurry(gone, gone)


def test_queue_is_serial_per_key_and_the_newest_wins() -> None:
    done: list[tuple[str, int]] = []
    first_runs, go_on = threading.Event(), threading.Event()

    def work(key: str, item: int) -> float | None:
        if item == 1:
            first_runs.set()
            go_on.wait(5)
        done.append((key, item))
        return None

    work_queue: WorkQueue[int] = WorkQueue(work, workers=4, name="test")
    assert work_queue.put("a", 1) is None
    assert first_runs.wait(5)
    assert [work_queue.put("a", item) for item in (2, 3)] == [1, 1]
    work_queue.put_if_free("a", 4)
    work_queue.put("b", 5)
    go_on.set()
    assert work_queue.wait_idle(5)
    assert sorted(done) == [("a", 1), ("a", 3), ("b", 5)]
    work_queue.close(1)


def test_queue_repeats_until_something_newer_comes() -> None:
    done: list[int] = []

    def work(key: str, item: int) -> float | None:
        done.append(item)
        return 0.02 if item == 1 else None

    work_queue: WorkQueue[int] = WorkQueue(work, workers=2, name="test")
    work_queue.put("a", 1)
    deadline = time.monotonic() + 5
    while len(done) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    work_queue.put("a", 2)
    time.sleep(0.15)
    assert done[:3] == [1, 1, 1] and done[-1] == 2 and done.count(2) == 1
    work_queue.close(1)
