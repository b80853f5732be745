# SPDX-License-Identifier: Apache-2.0
"""The ring: which disks hold the copies of which partition. Pure functions on plain data.

A blob's id names its partition (its first bits). A partition is given to as many different disks as there are
replicas, each disk as often as its weight says, in as many different zones as there are. A change moves as few
partitions as it can.
"""

import math
from collections import Counter

import msgspec

from altostratus.contracts.object_store import ObjectStoreError

from .packs import PACK_LETTER

MOST_PART_POWER = 20
_NOBODY = -1


class RingError(ObjectStoreError):
    """The ring cannot be so; the message says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("broken", message)


class Device(msgspec.Struct, frozen=True):
    """A disk: a directory on a file system of its own (or not). Weight 0 takes no partitions.

    `mark` is what is written on it, `mount` the mount point that it lies on (see `marks`); empty: not looked at.
    """

    id: int
    path: str
    zone: int
    weight: float
    mark: str = ""
    mount: str = ""


class Ring(msgspec.Struct, frozen=True):
    """`assignment[replica][partition]` is a device id; empty before the first `rebalance`.

    Ids are never used again: a copy on a disk that was removed must not count as one of a new disk.
    """

    part_power: int
    replicas: int
    devices: tuple[Device, ...] = ()
    assignment: tuple[tuple[int, ...], ...] = ()
    version: int = 0
    next_id: int = 0

    @property
    def partitions(self) -> int:
        return 1 << self.part_power

    def partition_of(self, blob_id: str) -> int:
        """`blob_id` begins with 8 hexadecimal digits, after the letter of a pack; all of a pack are together."""
        return int(blob_id.lstrip(PACK_LETTER)[:8], 16) >> (32 - self.part_power)

    def holders(self, partition: int) -> list[Device]:
        """The devices that should have the partition."""
        by_id = {device.id: device for device in self.devices}
        found = dict.fromkeys(row[partition] for row in self.assignment)
        return [by_id[device_id] for device_id in found if device_id in by_id]

    def handoffs(self, partition: int) -> list[Device]:
        """All other devices, in the order in which they stand in for a holder that does not work."""
        first = {device.id for device in self.holders(partition)}
        others = [device for device in self.devices if device.id not in first]
        return sorted(others, key=lambda device: ((device.id * 2_654_435_761 + partition * 40_503) % 2**32, device.id))


def create(part_power: int, replicas: int) -> Ring:
    if not 1 <= part_power <= MOST_PART_POWER:
        raise RingError(f"The partition power is 1 to {MOST_PART_POWER}: 2**power partitions.")
    if not 1 <= replicas <= 16:
        raise RingError("A ring has 1 to 16 replicas.")
    return Ring(part_power, replicas)


def add(ring: Ring, path: str, zone: int, weight: float, *, mark: str = "", mount: str = "") -> Ring:
    if any(device.path == path for device in ring.devices):
        raise RingError(f"{path} is in the ring already. Change its weight with set-weight.")
    if weight < 0:
        raise RingError("A weight is 0 or more.")
    device = Device(ring.next_id, path, zone, weight, mark, mount)
    return msgspec.structs.replace(ring, devices=(*ring.devices, device), next_id=ring.next_id + 1)


def set_weight(ring: Ring, path: str, weight: float) -> Ring:
    if weight < 0:
        raise RingError("A weight is 0 or more.")
    return _with(ring, msgspec.structs.replace(find(ring, path), weight=weight))


def accept(ring: Ring, path: str, mark: str, mount: str) -> Ring:
    """The disk as it is now is the right one."""
    return _with(ring, msgspec.structs.replace(find(ring, path), mark=mark, mount=mount))


def remove(ring: Ring, path: str) -> Ring:
    found = find(ring, path)
    return msgspec.structs.replace(ring, devices=tuple(device for device in ring.devices if device.id != found.id))


def find(ring: Ring, path: str) -> Device:
    for device in ring.devices:
        if device.path == path:
            return device
    known = ", ".join(device.path for device in ring.devices) or "none"
    raise RingError(f"{path} is not in the ring. Its disks: {known}.")


def _with(ring: Ring, changed: Device) -> Ring:
    devices = tuple(changed if device.id == changed.id else device for device in ring.devices)
    return msgspec.structs.replace(ring, devices=devices)


def rebalance(ring: Ring) -> tuple[Ring, int]:
    """The ring with every partition given out, and how many copies must move.

    Weights come first, zones as far as weights let them. For balance alone, one copy of a partition moves at most:
    the others are there meanwhile.
    """
    usable = {device.id: device for device in ring.devices if device.weight > 0}
    if not usable:
        raise RingError("No disk with a weight above 0: add one first.")
    copies = min(ring.replicas, len(usable))
    share = _shares(list(usable.values()), copies, ring.partitions)
    table = _keep(ring, copies, usable)
    held = Counter(device_id for row in table for device_id in row if device_id != _NOBODY)
    changed: set[int] = set()
    for partition in range(ring.partitions):
        had_some = any(row[partition] != _NOBODY for row in table)
        for row in table:
            if row[partition] == _NOBODY:
                row[partition] = chosen = _neediest(usable, share, held, _at(table, partition))
                held[chosen] += 1
                if had_some:
                    changed.add(partition)
    _balance(table, usable, share, held, changed)
    after = msgspec.structs.replace(ring, assignment=tuple(map(tuple, table)), version=ring.version + 1)
    return after, _count_moves(ring, after)


def spread(ring: Ring) -> dict[int, int]:
    """How many copies of partitions each device holds, by device id."""
    count = Counter(device_id for row in ring.assignment for device_id in row)
    return {device.id: count[device.id] for device in ring.devices}


def expected(ring: Ring) -> dict[int, float]:
    """How many it would hold if the weights could be met exactly."""
    usable = [device for device in ring.devices if device.weight > 0]
    if not usable:
        return {}
    return _shares(usable, min(ring.replicas, len(usable)), ring.partitions)


def zone_counts(ring: Ring) -> dict[int, int]:
    """How many partitions lie in how many zones, by number of zones."""
    zone = {device.id: device.zone for device in ring.devices}
    rows = zip(*ring.assignment, strict=True) if ring.assignment else ()
    return dict(sorted(Counter(len({zone[one] for one in row if one in zone}) for row in rows).items()))


def renumbered(ring: Ring, first_id: int, version: int) -> Ring:
    """The same ring with ids that were never used: those of its devices begin at `first_id`."""
    return msgspec.structs.replace(
        ring,
        devices=tuple(msgspec.structs.replace(device, id=device.id + first_id) for device in ring.devices),
        assignment=tuple(tuple(device_id + first_id for device_id in row) for row in ring.assignment),
        version=version,
        next_id=ring.next_id + first_id,
    )


def _shares(usable: list[Device], copies: int, partitions: int) -> dict[int, float]:
    """By weight, but no device holds a partition twice: what one cannot take goes to the others."""
    share: dict[int, float] = {}
    left, places = list(usable), float(copies * partitions)
    while left:
        whole = sum(device.weight for device in left)
        too_big = [device for device in left if places * device.weight / whole > partitions]
        if not too_big:
            return share | {device.id: places * device.weight / whole for device in left}
        for device in too_big:
            share[device.id] = float(partitions)
        places -= partitions * len(too_big)
        left = [device for device in left if device.id not in share]
    return share


def _keep(ring: Ring, copies: int, usable: dict[int, Device]) -> list[list[int]]:
    """The present assignment without disks that are gone."""
    table = [[_NOBODY] * ring.partitions for _ in range(copies)]
    for partition in range(ring.partitions):
        here = dict.fromkeys(row[partition] for row in ring.assignment if row[partition] in usable)
        for row, device_id in zip(table, here, strict=False):
            row[partition] = device_id
    return table


def _balance(
    table: list[list[int]],
    usable: dict[int, Device],
    share: dict[int, float],
    held: Counter[int],
    changed: set[int],
) -> None:
    """Move copies from disks above their share to disks below theirs; those first whose zone has several copies."""
    for device in usable.values():
        places = [
            (_crowd(table, partition, usable, device.zone), partition, row)
            for row in table
            for partition, device_id in enumerate(row)
            if device_id == device.id and partition not in changed
        ]
        for _, partition, row in sorted(places, key=lambda place: (-place[0], place[1])):
            if held[device.id] <= math.ceil(share[device.id]):
                break
            target = _neediest(usable, share, held, _at(table, partition), spare=device.id)
            if partition in changed or held[target] + 1 > math.ceil(share[target]):
                continue
            row[partition] = target
            held[device.id] -= 1
            held[target] += 1
            changed.add(partition)


def _neediest(
    usable: dict[int, Device], share: dict[int, float], held: Counter[int], here: set[int], *, spare: int = _NOBODY
) -> int:
    """Another disk than those that have it already: below its share, in another zone, emptiest."""
    zones = Counter(usable[device_id].zone for device_id in here if device_id != spare)
    candidates = [device for device in usable.values() if device.id not in here]
    if not candidates:
        return spare

    def order(device: Device) -> tuple[bool, int, float]:
        return held[device.id] + 1 > math.ceil(share[device.id]), zones[device.zone], held[device.id] / device.weight

    return min(candidates, key=order).id


def _count_moves(before: Ring, after: Ring) -> int:
    """Copies that are somewhere else now."""
    return sum(
        len({row[partition] for row in after.assignment} - {row[partition] for row in before.assignment})
        for partition in range(after.partitions)
    )


def _at(table: list[list[int]], partition: int) -> set[int]:
    return {row[partition] for row in table if row[partition] != _NOBODY}


def _crowd(table: list[list[int]], partition: int, usable: dict[int, Device], zone: int) -> int:
    return sum(usable[device_id].zone == zone for device_id in _at(table, partition))


def dump(ring: Ring) -> bytes:
    return msgspec.json.encode(ring)


def load(data: bytes) -> Ring:
    """Raises RingError for what is no ring, or is not whole."""
    try:
        found = msgspec.json.decode(data, type=Ring)
    except msgspec.MsgspecError as error:
        raise RingError(f"it is no ring ({error})") from None
    if any(len(row) != found.partitions for row in found.assignment):
        raise RingError(f"partitions are missing ({found.partitions} in each row are right)")
    return found
