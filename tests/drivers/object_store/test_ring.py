# SPDX-License-Identifier: Apache-2.0
"""The ring: every partition on different disks, by weight and zone, moving as little as it can."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altostratus.drivers.object_store.embedded import ring as rings
from altostratus.drivers.object_store.embedded.ring import RingError

PATHS = [f"/disk/{number}" for number in range(8)]
disks = st.lists(
    st.tuples(st.sampled_from(PATHS), st.integers(1, 3), st.sampled_from([0.0, 50.0, 100.0, 300.0])),
    min_size=1, max_size=8, unique_by=lambda disk: disk[0],
).filter(lambda found: any(weight for _, _, weight in found))  # fmt: skip


def ring_of(replicas, found, power=6):
    made = rings.create(power, replicas)
    for path, zone, weight in found:
        made = rings.add(made, path, zone, weight)
    return rings.rebalance(made)[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), disks)
def test_every_partition_is_on_different_disks(replicas, found):
    made = ring_of(replicas, found)
    weighty = [disk for disk in made.devices if disk.weight]
    for partition in range(made.partitions):
        holders = made.holders(partition)
        assert len(holders) == min(replicas, len(weighty)) and all(disk.weight for disk in holders)
        assert {*holders, *made.handoffs(partition)} == set(made.devices)
    assert sum(rings.spread(made).values()) == made.partitions * min(replicas, len(weighty))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), disks)
def test_nothing_moves_without_a_change(replicas, found):
    made = ring_of(replicas, found)
    again, moved = rings.rebalance(made)
    assert moved <= made.partitions // 8  # what the first round could not place well
    assert rings.rebalance(again)[1] <= moved


def test_zones_share_the_copies():
    made = ring_of(2, [("/a", 1, 100.0), ("/b", 1, 100.0), ("/c", 2, 100.0), ("/d", 2, 100.0)])
    assert all(len({disk.zone for disk in made.holders(partition)}) == 2 for partition in range(made.partitions))


def test_weights_are_shares():
    made = ring_of(1, [("/small", 1, 100.0), ("/large", 1, 300.0)], power=8)
    held = rings.spread(made)
    assert (held[0], held[1]) == (64, 192)


def test_a_new_disk_takes_its_share_only():
    before = ring_of(3, [(path, zone, 100.0) for zone, path in enumerate(PATHS[:4])], power=8)
    after, moved = rings.rebalance(rings.add(before, PATHS[4], 9, 100.0))
    share = 3 * 256 / 5
    assert abs(rings.spread(after)[4] - share) <= 2
    assert moved <= share * 1.2


def test_ids_are_not_used_again():
    made = rings.remove(ring_of(1, [("/a", 1, 1.0), ("/b", 1, 1.0)]), "/b")
    assert [disk.id for disk in rings.add(made, "/c", 1, 1.0).devices] == [0, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda made: rings.create(0, 1),
        lambda made: rings.create(30, 1),
        lambda made: rings.create(4, 0),
        lambda made: rings.add(made, "/a", 1, 1.0),
        lambda made: rings.add(made, "/b", 1, -1.0),
        lambda made: rings.set_weight(made, "/nowhere", 1.0),
        lambda made: rings.set_weight(made, "/a", -1.0),
        lambda made: rings.remove(made, "/nowhere"),
        lambda made: rings.rebalance(rings.set_weight(made, "/a", 0)),
        lambda made: rings.load(b"{}"),
    ],
)
def test_what_cannot_be_is_refused(change):
    with pytest.raises(RingError):
        change(ring_of(1, [("/a", 1, 1.0)]))


def test_the_file_keeps_everything():
    made = ring_of(2, [("/a", 1, 1.0), ("/b", 2, 2.0)])
    assert rings.load(rings.dump(made)) == made
