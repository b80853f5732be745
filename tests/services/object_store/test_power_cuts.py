# SPDX-License-Identifier: Apache-2.0
"""The power is cut before every write, flush, link and unlink of the disks, and around every transaction.

Whatever was answered is there, whole; what was being done is done or undone; nothing leaks; counts agree.
"""

import itertools
import os
import random

import pytest

from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring
from altostratus.services.object_store.public import settle_leftovers
from altostratus.services.object_store.reconcilers.orphans import remove_orphans
from altostratus.services.object_store.reconcilers.waste import remove_waste
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud
from altostratus.testing.lossy_disk import LossyDisk
from altostratus.testing.power_cut import PowerCut, Tripper

from .conftest import Swift
from .counts import demand_sound

DICE = random.Random(7)
NEVER, ALWAYS, PERHAPS = (lambda: False), (lambda: True), (lambda: DICE.random() < 0.5)
LUCK = [(NEVER, NEVER), (ALWAYS, ALWAYS), (ALWAYS, NEVER), (NEVER, ALWAYS), (PERHAPS, PERHAPS)]
NAMES = ["never", "process-killed", "names-only", "bytes-only", "by-chance"]


class Story:
    """What a client does, and which contents an object may have after each of it; None: it is not there."""

    def __init__(self, swift, number):
        self.swift, self.number = swift, number
        self.may_be = {}

    def run(self):
        data = [os.urandom(size) for size in (700, 300_000, 40)]
        self.put("new", data[0])
        self.put("new", data[1])
        self.put("other", data[2])
        self("POST", "new", data[1], data[1], X_Object_Meta_Colour="red")
        self("DELETE", "new", data[1], None)

    def put(self, name, data):
        self("PUT", name, self.may_be.get(name, {None}).copy().pop(), data, body=data)

    def __call__(self, method, name, before, after, body=None, **headers):
        self.may_be[name] = {before, after}
        assert self.swift(method, f"c/{self.number}-{name}", body, **headers).status < 300
        self.may_be[name] = {after}

    def demand_kept(self):
        for name, contents in self.may_be.items():
            answer = self.swift("GET", f"c/{self.number}-{name}")
            assert (answer.content if answer.status == 200 else None) in contents


class Place:
    """A cloud whose disks lose what was not flushed."""

    def __init__(self, cloud, root, disks):
        self.cloud, self.root, self.disks = cloud, root, disks
        self.start()

    def start(self):
        """As a process that begins: what an earlier one knew is forgotten."""
        self.store = EmbeddedStore(self.root / "store")
        self.cloud.cloud.add_part(ObjectStore, self.store)

    def cut(self, at, story, luck):
        """Whether the power was cut before the story's end."""
        tripper = Tripper(at)
        disk = LossyDisk(self.root, tripper)
        tripper.watch_db(self.cloud.cloud.db)
        cut = False
        try:
            with disk.installed():
                self.start()
                try:
                    story.run()
                    remove_waste(self.cloud.cloud)
                finally:
                    self.store._syncers.shutdown()  # its threads end with the process
        except PowerCut:
            cut = True
        del self.cloud.cloud.db.write
        disk.crash(*luck)
        self.start()
        return cut


@pytest.fixture(params=[1, 3], ids=["one-disk", "three-disks"])
def place(tmp_path, request):
    root = tmp_path / "disks"
    for number in range(request.param):
        (root / str(number)).mkdir(parents=True)
    store = EmbeddedStore(root / "store")
    made = ring.create(1, 3)
    for number in range(request.param):
        made = ring.add(made, str(root / str(number)), number, 100.0)
    store.change_ring(ring.rebalance(made)[0])

    def prepare(cloud):
        cloud.add_part(ObjectStore, store)

    with TestCloud(tmp_path, services=(SERVICE,), prepare=prepare) as cloud:
        yield Place(cloud, root, request.param)


@pytest.mark.parametrize("luck", LUCK, ids=NAMES)
def test_nothing_answered_is_lost_and_nothing_leaks(place, luck):
    swift = Swift(place.cloud, "member")
    swift("PUT", "c")
    stories = []
    # the kinds of luck share the points of the long way among them
    for at in itertools.count(1 + LUCK.index(luck), 5 if place.disks > 1 else 2):
        story = Story(swift, at)
        stories.append(story)
        cut = place.cut(at, story, luck)
        story.demand_kept()
        settle_leftovers(place.cloud.cloud)
        remove_waste(place.cloud.cloud)
        remove_orphans(place.cloud.cloud, older_than_s=0)
        story.demand_kept()
        demand_sound(place.cloud.cloud, place.store)
        if not cut:
            break
    for story in stories:
        story.demand_kept()
    assert at > 40, "every operation has several points"
