# SPDX-License-Identifier: Apache-2.0
"""Stories that a client lives through while the power is cut, at any point of them, on disks that lose what they may.

A story says after every step what may be there. Whatever was answered must be there, whole; what was being done is
done or undone. Of hundreds of points some are tried, spread evenly; ALTO_ALL_CUTS=1 tries all of them.
"""

import os
import random
from abc import ABC, abstractmethod

from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring
from altostratus.services.object_store.public import settle_leftovers
from altostratus.services.object_store.reconcilers.expiry import delete_expired
from altostratus.services.object_store.reconcilers.orphans import remove_orphans
from altostratus.services.object_store.reconcilers.waste import remove_waste
from altostratus.testing.lossy_disk import LossyDisk
from altostratus.testing.power_cut import PowerCut, Tripper

from .counts import demand_sound

EVERYWHERE = bool(os.environ.get("ALTO_ALL_CUTS"))
DICE = random.Random(7)
_MOST_STORIES = 20
NEVER, ALWAYS, PERHAPS = (lambda: False), (lambda: True), (lambda: DICE.random() < 0.5)
# what was not flushed, names and bytes: lost; kept (the process was killed only); names only; bytes only; by chance
LUCK = [(NEVER, NEVER), (ALWAYS, ALWAYS), (ALWAYS, NEVER), (NEVER, ALWAYS), (PERHAPS, PERHAPS)]


class Place:
    """A cloud whose disks lose what was not flushed."""

    def __init__(self, cloud, root, disks):
        self.cloud, self.root = cloud, root
        for number in range(disks):
            (root / str(number)).mkdir(parents=True)
        store, made = EmbeddedStore(root / "store"), ring.create(1, 3)
        for number in range(disks):
            made = ring.add(made, str(root / str(number)), number, 100.0)
        store.change_ring(ring.rebalance(made)[0])
        self.start()

    def start(self):
        """As a process that begins: what an earlier one knew is forgotten."""
        self.store = EmbeddedStore(self.root / "store")
        self.cloud.cloud.add_part(ObjectStore, self.store)

    def live(self, story, at=None, luck=LUCK[0]):
        """(how many points were seen, whether the power was cut before the story's end)"""
        tripper = Tripper(at)
        disk = LossyDisk(self.root, tripper)
        tripper.watch_db(self.cloud.cloud.db)
        cut = False
        try:
            with disk.installed():
                self.start()
                try:
                    story.run()
                    self.work()
                finally:
                    self.store._syncers.shutdown()  # its threads end with the process
        except PowerCut:
            cut = True
        del self.cloud.cloud.db.write
        disk.crash(*luck)
        self.start()
        return tripper.seen, cut

    def work(self):
        """What the cloud does by itself."""
        delete_expired(self.cloud.cloud)
        remove_waste(self.cloud.cloud)

    def demand_kept(self, story):
        story.demand_kept()
        settle_leftovers(self.cloud.cloud)
        self.work()
        remove_orphans(self.cloud.cloud, older_than_s=0)
        story.demand_kept()
        demand_sound(self.cloud.cloud, self.store)


class Story(ABC):
    """What a client does: its `run` takes steps, its `find(thing)` tells what is there; None: nothing.

    `clear` takes away what it has made, for the files of many stories make a slow disk.
    """

    def __init__(self):
        self.may_be = {}

    def step(self, act, between=(), **after):
        """`act()` turns what there is into `after`; cut, it may leave some of it as it is, or `between`."""
        self.may_be |= {thing: [self.now(thing), *between, after[thing]] for thing in after}
        given = act()
        self.may_be |= {thing: [after[thing]] for thing in after}
        return given

    def now(self, thing):
        (found,) = self.may_be.get(thing, [None])
        return found

    @abstractmethod
    def find(self, thing):
        """What there is of it now; None: nothing."""

    def demand_kept(self):
        for thing, allowed in self.may_be.items():
            found = self.find(thing)
            assert found in allowed, f"{thing}: {_short(found)} is none of {[_short(one) for one in allowed]}"


def _short(found):
    return found if found is None or len(repr(found)) < 100 else f"{repr(found)[:60]}... ({len(found)})"


def cut_everywhere(place, make_story, most=10):
    """The power is cut at `most` points of the story, each with the next kind of luck; or at all, with each kind."""
    stories = [make_story(0)]
    points, cut = place.live(stories[0])
    assert not cut and points > 20, "every operation has several points"
    stories[0].demand_kept()
    place.demand_kept(stories[0])
    if EVERYWHERE:
        cuts = [(at, luck) for at in range(1, points + 1) for luck in LUCK]
    else:
        chosen = range(1, points + 1, max(1, points // most))
        cuts = [(at, LUCK[number % len(LUCK)]) for number, at in enumerate(chosen)]
    for number, (at, luck) in enumerate(cuts, 1):
        stories.append(make_story(number))
        place.live(stories[-1], at, luck)
        place.demand_kept(stories[-1])
        if len(stories) > _MOST_STORIES:
            stories.pop(0).clear()
    for story in stories:
        story.demand_kept()
