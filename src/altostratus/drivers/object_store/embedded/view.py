# SPDX-License-Identifier: Apache-2.0
"""A ring with its disks."""

from collections.abc import Iterator

from altostratus.contracts.object_store import ObjectStoreError

from .disk import Disk, disk_of, is_full
from .ring import Ring


class View:
    """A ring and its disks as they are at one moment; never changed, so what began with one ends with it."""

    def __init__(self, ring: Ring, known: dict[int, Disk]) -> None:
        self.ring = ring
        self.disks = {device.id: _same(known.get(device.id), disk_of(device)) for device in ring.devices}

    def holders(self, partition: int) -> list[Disk]:
        found = dict.fromkeys(row[partition] for row in self.ring.assignment)
        return [self.disks[device_id] for device_id in found if device_id in self.disks]

    def handoffs(self, partition: int) -> list[Disk]:
        return [self.disks[device.id] for device in self.ring.handoffs(partition)]

    def in_order(self, partition: int) -> Iterator[Disk]:
        """Holders first. Handoffs are only sorted for those who come so far."""
        yield from self.holders(partition)
        yield from self.handoffs(partition)


def _same(known: Disk | None, now: Disk) -> Disk:
    """The known one, unless another disk was accepted in its place."""
    return known if known is not None and (known.mark, known.mount) == (now.mark, now.mount) else now


def refusal(troubles: list[OSError]) -> ObjectStoreError:
    """Of a write that too few disks took."""
    if any(is_full(error) for error in troubles):
        return ObjectStoreError("full", "No room is left on the disks of the object store.")
    return ObjectStoreError("broken", "Too few disks of the object store work. See: alto ring show")
