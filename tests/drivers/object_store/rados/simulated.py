# SPDX-License-Identifier: Apache-2.0
"""A pool in memory that fails, or loses its client, where a test wants."""

import errno
import time
from contextlib import suppress

from altostratus.drivers.object_store.rados import Connection, RadosOptions
from altostratus.drivers.object_store.rados.pool import Found, Pool, RadosError
from altostratus.testing.power_cut import Tripper


class SimulatedRequest:
    """A write takes place when it is waited for; before that, it has or has not when the client dies."""

    def __init__(self, pool, effect):
        self.pool, self.effect = pool, effect

    def wait(self):
        self.pool.tripper.point("an answer")
        if self in self.pool.under_way:
            self.pool.under_way.remove(self)
        return self.effect()


class SimulatedPool(Pool):
    """`fail(kind, number)` lets requests of a kind (put, remove, get, keys) fail until `mend`."""

    def __init__(self):
        self.objects, self.attributes, self.sets, self.times = {}, {}, {}, {}
        self.under_way, self.failing = [], {}
        self.tripper = Tripper()
        self.gone, self.answered_at, self.timed_out_at = False, time.monotonic(), 0.0
        self.requests = 0

    def fail(self, kind, number, after=0):
        self.failing[kind] = [number, after]

    def mend(self):
        self.failing.clear()

    def crash(self, luck):
        """The client is gone; what it had asked for is done if luck() says so."""
        for request in self.under_way:
            with suppress(RadosError):
                if luck():
                    request.effect()
        self.under_way.clear()
        self.tripper = Tripper()

    def put(self, name, data, attribute):
        kept = bytes(data)

        def effect():
            self.objects[name], self.attributes[name] = kept, attribute[1]
            self.times[name] = int(time.time())

        return self._begin("put", effect)

    def remove(self, name):
        return self._begin("remove", lambda: (self._demand_there(name), self.objects.pop(name)))

    def add_keys(self, name, keys):
        return self._begin("keys", lambda: self.sets.setdefault(name, set()).update(keys))

    def remove_keys(self, name, keys):
        return self._begin("keys", lambda: self.sets[name].difference_update(keys))

    def get(self, name, start, length):
        assert length > 0, "Ceph would send the whole object"

        def effect():
            self._demand_there(name)
            return Found(self.objects[name][start : start + length], self.attributes[name])

        return self._begin("get", effect)

    def keys(self, name):
        yield from sorted(self.sets.get(name, ()))

    def written_at(self, name):
        self._demand_there(name)
        return self.times[name]

    def names(self):
        yield from [*self.objects, *self.sets]

    def _demand_there(self, name):
        if name not in self.objects:
            raise RadosError(errno.ENOENT, "There is no such object.")

    def _begin(self, kind, effect):
        self.tripper.point(f"before {kind}")
        self.requests += 1
        plan = self.failing.get(kind)
        if plan is not None:
            plan[1] -= 1
            if plan[1] < 0:
                return SimulatedRequest(self, lambda: _fail(plan[0]))
        request = SimulatedRequest(self, effect)
        self.under_way.append(request)
        return request


def _fail(number):
    raise RadosError(number, f"simulated {errno.errorcode[number]}")


class SimulatedConnection(Connection):
    """Always the same pool."""

    def __init__(self, pool):
        super().__init__(RadosOptions())
        self.simulated = pool

    def pool(self):
        return self.simulated

    index_pool = pool
