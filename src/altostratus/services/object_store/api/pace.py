# SPDX-License-Identifier: Apache-2.0
"""Rate limits: an account's containers and a container's objects change, and are listed, only so fast.

As upstream's middleware has them, and off like there. Who is a little too fast waits, who is much too fast is told
498. Waiting takes one of few threads, so not many may wait at once.
"""

import threading
import time
from collections import OrderedDict
from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.turns import release_turn
from altostratus.services.object_store.config import RateLimitOptions, Rates

_MOST_KEYS = 10_000
_MOST_WAITING = 3
_CHANGES = frozenset({"PUT", "POST", "DELETE"})


class RateLimited(ApiError):
    status = 498


class Paces:
    """When each key may go on. Keys that were not used for long are forgotten."""

    def __init__(self) -> None:
        self._next_s: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def keep(self, key: str, per_s: float, options: RateLimitOptions) -> None:
        """Returns when it is this request's turn. Raises RateLimited if that is too far away."""
        pause_s = self._reserve(key, per_s, options)
        if pause_s <= 0:
            return
        if not self._waiting.acquire(blocking=False):
            self._give_back(key, per_s)
            raise _refusal(pause_s)
        try:
            release_turn()
            time.sleep(pause_s)
        finally:
            self._waiting.release()

    def _reserve(self, key: str, per_s: float, options: RateLimitOptions) -> float:
        """Seconds to wait. Who was idle may catch up on `rate_buffer_seconds` of it."""
        now = clock.monotonic()
        with self._lock:
            turn = max(self._next_s.get(key, 0.0), now - options.rate_buffer_seconds)
            if turn - now > options.max_sleep_time_seconds:
                raise _refusal(turn - now)
            self._next_s[key] = turn + 1.0 / per_s
            self._next_s.move_to_end(key)
            if len(self._next_s) > _MOST_KEYS:
                self._next_s.popitem(last=False)
        return turn - now

    def _give_back(self, key: str, per_s: float) -> None:
        with self._lock:
            if key in self._next_s:
                self._next_s[key] -= 1.0 / per_s


def ensure_paces(_tx: Tx, cloud: Cloud) -> None:
    """At the start."""
    cloud.add_part(Paces, Paces())


def pace_account(call: Call, account: str) -> None:
    """Making and deleting containers."""
    options = call.cloud[RateLimitOptions]
    if options.account_ratelimit and call.op.method in ("PUT", "DELETE"):
        call.cloud.part(Paces).keep(account, options.account_ratelimit, options)


def pace_container(call: Call, container: Row[Any]) -> None:
    """Changing objects, and listings."""
    options = call.cloud[RateLimitOptions]
    if options.container_ratelimits and call.op.method in _CHANGES:
        _keep_rate(call, container.id, options.container_ratelimits, container.object_count)
    elif options.container_listing_ratelimits and call.op.method == "GET" and "object" not in call.params:
        _keep_rate(call, f"{container.id} listing", options.container_listing_ratelimits, container.object_count)


def rate_for(rates: Rates, size: int) -> float | None:
    """Between two sizes of the table the rate is between theirs; below the first there is no limit, as upstream."""
    rows = sorted(rates)
    place = sum(row[0] <= size for row in rows) - 1
    if place < 0 or not size:
        return None
    least, rate = rows[place]
    if place + 1 == len(rows):
        return rate
    next_size, next_rate = rows[place + 1]
    return rate + (next_rate - rate) * (size - least) / (next_size - least)


def _keep_rate(call: Call, key: str, rates: Rates, size: int) -> None:
    per_s = rate_for(rates, size)
    if per_s is not None:
        call.cloud.part(Paces).keep(key, per_s, call.cloud[RateLimitOptions])


def _refusal(pause_s: float) -> RateLimited:
    return RateLimited(
        f"Slow down: the next request can be taken in {pause_s:.1f} seconds.",
        headers={"Retry-After": str(max(1, round(pause_s)))},
    )
