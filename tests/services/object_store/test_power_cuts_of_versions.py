# SPDX-License-Identifier: Apache-2.0
"""The power is cut at any point of what makes, deletes and restores versions: see `power`.

What an object is and what it was belong together: both are as before, or both as after.
"""

import os

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.services.object_store.logic.lifecycle import Rule, set_rules
from altostratus.services.object_store.models import Container
from altostratus.services.object_store.reconcilers.lifecycle import carry_out

from .power import cut_everywhere
from .test_power_cuts import SwiftStory, place

__all__ = ["place"]
GONE = "a marker"


class Kept(SwiftStory):
    """The thing `o`: (what it is, what there is of it, the newest first)."""

    def __init__(self, cloud, number):
        super().__init__(cloud, number)
        self.swift("POST", "c", X_Versions_Enabled="true")

    def run(self):
        one, two, three, four = (os.urandom(size) for size in (80, 30_000, 7, 500))
        self.change("PUT", one, (one, [one]))
        self.change("PUT", two, (two, [two, one]))
        self.change("DELETE", None, (None, [GONE, two, one]))
        self.change("PUT", three, (three, [three, GONE, two, one]))
        self.change("DELETE", None, (three, [three, GONE, one]), version=2)
        self.change("PUT", b"", (one, [three, GONE, one]), version=2)
        self.change("DELETE", None, (None, [three, GONE]), version=2)
        self.change("DELETE", None, (None, [three]), version=1)
        self.step(lambda: self.swift("POST", "c", X_Versions_Enabled="false"))
        self.change("PUT", four, (four, [four, three]))
        self.change("PUT", one, (one, [one, three]))
        self.change("DELETE", None, (None, [three]))

    def change(self, method, body, after, version=None):
        query = "" if version is None else f"?version-id={self.listed()[version]['version_id']}"
        self.step(lambda: self.ask(method, "o", body, query), o=after)

    def listed(self):
        name = f"{self.number}-o"
        return self.swift("GET", f"c?versions&format=json&prefix={name}").json

    def find(self, thing):
        whole = [self.read(f"?version-id={item['version_id']}") for item in self.listed()]
        return self.read(), whole

    def read(self, query=""):
        answer = self.swift("GET", self.path("o") + query)
        if answer.status == 200:
            return answer.content
        return GONE if "x-object-version-id" in answer.headers else None

    def now(self, thing):
        return super().now(thing) if thing in self.may_be else (None, [])


class Ageing(SwiftStory):
    """Days go by, and the rules of the bucket are carried out."""

    def __init__(self, cloud, number, moment):
        super().__init__(cloud, number)
        self.cloud, self.moment = cloud.cloud, moment
        rule = Rule(id="r", enabled=True, prefix=f"{number}-", days=1)
        with self.cloud.db.write() as tx:
            (row,) = tx.rows(table_of(Container).select())
            set_rules(tx, row, [rule])

    def run(self):
        data = os.urandom(5000)
        names = ["a", "b", "d"]
        for name in names:
            self.put(name, data)
        self.moment[0] += 3 * 86_400
        self.step(lambda: carry_out(self.cloud), **dict.fromkeys(names))


def test_versions_are_whole(place):
    cut_everywhere(place, lambda number: Kept(place.cloud, number), most=20)


def test_objects_that_grow_old(place, monkeypatch):
    moment = [clock.unix()]
    monkeypatch.setattr(clock, "unix", lambda: moment[0])
    cut_everywhere(place, lambda number: Ageing(place.cloud, number, moment), most=8)
