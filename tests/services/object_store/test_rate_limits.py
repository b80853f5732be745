# SPDX-License-Identifier: Apache-2.0
"""Rate limits: off, of accounts, of containers by their size, of listings."""

import time

import pytest

from altostratus.contracts.object_store import ObjectStore
from altostratus.kernel import clock
from altostratus.kernel.config import Settings
from altostratus.services.object_store.api.pace import rate_for
from altostratus.services.object_store.config import RateLimitOptions
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud

from .conftest import Swift


@pytest.fixture
def cloud(tmp_path, store, request):
    settings = Settings(
        [RateLimitOptions(**{"max_sleep_time_seconds": 0.0, "rate_buffer_seconds": 2.0} | request.param)]
    )
    prepare = lambda cloud: cloud.add_part(ObjectStore, store)  # noqa: E731
    with TestCloud(tmp_path, services=(SERVICE,), settings=settings, prepare=prepare) as cloud:
        yield cloud


def of(**limits):
    return pytest.mark.parametrize("cloud", [limits], indirect=True)


def until_refused(act, most=50):
    """How often it went well."""
    for count in range(most):
        answer = act(count)
        if answer.status == 498:
            assert "Slow down" in answer.text and int(answer.headers["retry-after"]) >= 1
            return count
        assert answer.status < 300
    return None


@pytest.fixture
def moved(monkeypatch):
    """Time stands still; the list's sum is what it moved on."""
    steps = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: sum(steps))
    return steps


@of()
def test_no_limits_unless_given(swift):
    swift.put("c")
    assert until_refused(lambda number: swift("PUT", f"c/{number}", b"x")) is None


@of(account_ratelimit=2.0)
def test_containers_of_an_account(swift, cloud, moved):
    assert until_refused(lambda number: swift("PUT", f"c{number}")) == 5
    assert swift("DELETE", "c0").status == 498
    assert swift("PUT", "c0/o", b"objects are others' business").status == 201
    assert Swift(cloud, "member@red")("PUT", "c").status == 201
    moved.append(1.0)
    assert until_refused(lambda number: swift("PUT", f"d{number}")) == 2


@of(container_ratelimits=((3, 1.0),))
def test_objects_of_a_large_container(swift, moved):
    swift.put("c")
    swift.put("d")
    # three objects make it large enough; then the pause before is caught up on
    assert until_refused(lambda number: swift("PUT", f"c/{number}", b"x")) == 6
    assert swift("DELETE", "c/0").status == swift("POST", "c/0").status == 498
    assert swift("GET", "c/0").content == b"x" and len(swift.names("c")) == 6
    assert swift("PUT", "d/o", b"x").status == 201


@of(container_listing_ratelimits=((1, 1.0),))
def test_listings(swift, moved):
    swift.put("c")
    swift.put("c/o", b"x")
    assert until_refused(lambda _number: swift("GET", "c")) == 3
    assert swift("HEAD", "c").status == 204 and swift("GET", "c/o").content == b"x"
    assert swift("PUT", "c/o", b"y").status == 201


@of(account_ratelimit=20.0, rate_buffer_seconds=0.0, max_sleep_time_seconds=5.0)
def test_a_little_too_fast_waits(swift):
    started = time.monotonic()
    assert until_refused(lambda number: swift("PUT", f"c{number}"), most=6) is None
    assert time.monotonic() - started >= 0.2


@of(account_ratelimit=0.5, container_ratelimits=((0, 5.0), (100, 1.0)))
def test_what_is_told(cloud):
    told = cloud.client(None).get("/object-store/info").json["ratelimit"]
    assert told == {
        "account_ratelimit": 0.5,
        "max_sleep_time_seconds": 0.0,
        "container_ratelimits": [[0, 5.0], [100, 1.0]],
        "container_listing_ratelimits": [],
    }


def test_rates_between_sizes():
    rates = ((100, 50.0), (0, 100.0), (200, 10.0))
    found = [rate_for(rates, size) for size in (0, 1, 50, 100, 150, 200, 10**9)]
    assert found == [None, 99.5, 75.0, 50.0, 30.0, 10.0, 10.0]
    assert rate_for(((10, 1.0),), 9) is rate_for((), 9) is None
