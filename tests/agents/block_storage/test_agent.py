# SPDX-License-Identifier: Apache-2.0
"""The storage agent over the fake driver: reports, order, retries, the sweep."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from altostratus.agents.block_storage.agent import VolumeAgent
from altostratus.agents.block_storage.queue import RetryQueue
from altostratus.contracts.host_api import Agent, Key, Report, Wanted
from altostratus.contracts.volume import SnapshotSpec, VolumeError, VolumeSource, VolumeSpec, VolumeState
from altostratus.drivers.volume.fake import FakeVolumeDriver


class Stage:
    """An agent, its back ends and what it reported."""

    def __init__(self, agent: VolumeAgent, backends: list[FakeVolumeDriver]) -> None:
        self.agent = agent
        self.backends = backends
        self.rows: dict[Key, Wanted] = {}
        self.reports: list[Report] = []

    def want(self, kind: str, id: str, spec: VolumeSpec | SnapshotSpec | dict[str, Any] | None) -> Key:
        key = Key(kind, id)
        generation = self.rows[key].generation + 1 if key in self.rows else 1
        built = spec if isinstance(spec, dict) or spec is None else msgspec.to_builtins(spec)
        self.rows[key] = Wanted(kind=kind, id=id, generation=generation, spec=built)
        return key

    def apply(self, *keys: Key, resync: bool = False) -> None:
        self.agent.apply(self.rows, frozenset(keys), self.reports.append, resync=resync)
        assert self.agent.wait_idle(10)

    @property
    def newest(self) -> Report:
        return self.reports[-1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    backends = [FakeVolumeDriver("one"), FakeVolumeDriver("two")]
    agent = VolumeAgent(backends, retry_delays_s=(0.01,), orphan_grace_s=0)
    yield Stage(agent, backends)
    agent.close()
    assert all(backend.closed for backend in backends)


def volume(id: str = "v1", size_gib: int = 1, **more: Any) -> VolumeSpec:
    return VolumeSpec(id=id, name=id, size_gib=size_gib, **more)


def test_it_is_an_agent(stage: Stage) -> None:
    agent: Agent = stage.agent
    assert agent.kinds == ("volume", "snapshot")


def test_life_of_a_volume(stage: Stage) -> None:
    key = stage.want("volume", "v1", volume())
    stage.apply(key)
    assert (stage.newest.generation, stage.newest.error) == (1, None)
    assert msgspec.convert(stage.newest.state, VolumeState).size_gib == 1
    stage.want("volume", "v1", volume(size_gib=2))
    stage.apply(key)
    assert (stage.newest.generation, stage.newest.state["size_gib"]) == (2, 2)
    stage.want("volume", "v1", None)
    stage.apply(key)
    assert (stage.newest.generation, stage.newest.state["present"], stage.newest.error) == (3, False, None)
    assert stage.backends[0].list_volumes() == []


def test_snapshots(stage: Stage) -> None:
    stage.apply(stage.want("volume", "v1", volume()))
    key = stage.want("snapshot", "s1", SnapshotSpec(id="s1", volume_id="v1", size_gib=1))
    stage.apply(key)
    assert stage.newest.state == {"id": "s1", "present": True}
    source = VolumeSource(kind="snapshot", id="s1")
    stage.apply(stage.want("volume", "v2", volume("v2", source=source)))
    assert stage.newest.error is None
    stage.want("snapshot", "s1", None)
    stage.apply(key)
    assert stage.newest.state == {"id": "s1", "present": False}


def test_back_ends(stage: Stage) -> None:
    key = stage.want("volume", "v1", volume(backend="two"))
    stage.apply(key)
    assert [len(backend.list_volumes()) for backend in stage.backends] == [0, 1]
    stage.want("volume", "v1", None)
    stage.apply(key)
    assert stage.backends[1].list_volumes() == []
    stage.apply(stage.want("volume", "v3", volume("v3", backend="three")))
    assert stage.newest.final
    assert "it has one, two" in str(stage.newest.error)


def test_passing_trouble_is_reported_and_retried(stage: Stage) -> None:
    stage.backends[0].fail("ensure_volume", VolumeError("The disk is full."), times=3)
    stage.apply(stage.want("volume", "v1", volume()))
    assert [report.error for report in stage.reports] == ["The disk is full."] * 3 + [None]
    assert not any(report.final for report in stage.reports)


def test_final_trouble_is_not_retried(stage: Stage) -> None:
    stage.backends[0].fail("ensure_volume", VolumeError("A bad image.", final=True))
    key = stage.want("volume", "v1", volume())
    stage.apply(key)
    assert [(report.error, report.final) for report in stage.reports] == [("A bad image.", True)]
    stage.apply(key)
    assert stage.newest.error is None


def test_nonsense_is_final(stage: Stage) -> None:
    stage.apply(stage.want("volume", "v1", {"id": "v1", "size_gib": "many"}))
    assert stage.newest.final
    assert "cannot be understood" in str(stage.newest.error)


def test_facts(stage: Stage) -> None:
    facts = stage.agent.facts()
    assert [backend["name"] for backend in facts["backends"]] == ["one", "two"]
    assert stage.agent.calls()["backends"]({}) == facts
    assert msgspec.json.encode(facts)


def test_sweep_removes_what_no_row_names(stage: Stage) -> None:
    stage.backends[0].ensure_volume(volume("stray"))
    stage.backends[1].ensure_volume(volume("strange"))
    stage.backends[1].ensure_snapshot(SnapshotSpec(id="snap", volume_id="strange", size_gib=1))
    key = stage.want("volume", "v1", volume())
    stage.apply(key)
    assert stage.backends[0].info().free_gib == 998
    stage.apply(key, resync=True)
    assert [state.id for backend in stage.backends for state in backend.list_volumes()] == ["v1"]
    assert stage.backends[1].list_snapshots() == []


def test_sweep_keeps_everything_when_nothing_is_wanted(stage: Stage) -> None:
    stage.backends[0].ensure_volume(volume("data"))
    stage.apply(resync=True)
    stage.apply(resync=True)
    assert len(stage.backends[0].list_volumes()) == 1


def test_sweep_waits_for_the_grace_time() -> None:
    backend = FakeVolumeDriver()
    backend.ensure_volume(volume("stray"))
    stage = Stage(VolumeAgent([backend], orphan_grace_s=0.2), [backend])
    key = stage.want("volume", "v1", volume())
    for expected in (2, 2):
        stage.apply(key, resync=True)
        assert len(backend.list_volumes()) == expected
    time.sleep(0.25)
    stage.apply(key, resync=True)
    assert [state.id for state in backend.list_volumes()] == ["v1"]
    stage.agent.close()


def test_close_is_quick_while_a_retry_waits() -> None:
    backend = FakeVolumeDriver()
    backend.fail("ensure_volume", VolumeError("Later."), times=99)
    stage = Stage(VolumeAgent([backend], retry_delays_s=(60,)), [backend])
    stage.agent.apply(
        {stage.want("volume", "v1", volume()): stage.rows[Key("volume", "v1")]},
        frozenset(stage.rows),
        stage.reports.append,
        resync=False,
    )
    started = time.monotonic()
    stage.agent.close()
    assert time.monotonic() - started < 5


@pytest.fixture
def queues() -> Iterator[Callable[..., RetryQueue[str]]]:
    made: list[RetryQueue[str]] = []

    def make(*arguments: Any, **options: Any) -> RetryQueue[str]:
        made.append(RetryQueue(*arguments, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def test_one_thread_at_a_time_for_a_name(queues: Callable[..., RetryQueue[str]]) -> None:
    running: list[str] = []
    overlaps: list[str] = []
    together = threading.Barrier(2, timeout=5)

    def work(name: str) -> bool:
        overlaps.extend(other for other in running if other == name)
        running.append(name)
        if not together.broken and len(overlaps) == 0 and name in {"a", "b"}:
            try:
                together.wait(0.2)
            except threading.BrokenBarrierError:
                pass
        running.remove(name)
        return True

    queue = queues(work, workers=4)
    for _ in range(20):
        for name in ("a", "b", "c"):
            queue.ask(name)
    assert queue.wait_idle(10)
    assert overlaps == []


def test_asking_while_running_runs_again(queues: Callable[..., RetryQueue[str]]) -> None:
    started, go_on, runs = threading.Event(), threading.Event(), []

    def work(name: str) -> bool:
        runs.append(name)
        started.set()
        return go_on.wait(5)

    queue = queues(work, workers=2)
    queue.ask("a")
    assert started.wait(5)
    queue.ask("a")
    queue.ask("a")
    go_on.set()
    assert queue.wait_idle(5)
    assert runs == ["a", "a"]


def test_a_defect_does_not_end_the_thread(queues: Callable[..., RetryQueue[str]]) -> None:
    runs: list[str] = []

    def work(name: str) -> bool:
        runs.append(name)
        if len(runs) < 3:
            raise ZeroDivisionError
        return True

    queue = queues(work, workers=1, retry_delays_s=(0.01,))
    queue.ask("a")
    assert queue.wait_idle(5)
    assert runs == ["a"] * 3
