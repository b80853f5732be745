# SPDX-License-Identifier: Apache-2.0
"""Damaged copies that were set aside. They go when nobody can want anything of them any longer.

One whose blob has an intact copy is only of interest to those who look for the fault of a disk; one without is the
last that is left of an object, and somebody may save a part of it.
"""

from collections.abc import Callable
from typing import NamedTuple

from altostratus.kernel import log

from .disk import Disk
from .store import EmbeddedStore

_log = log.get("drivers.object_store")


class SetAside(NamedTuple):
    """A copy in quarantine, for `age_s` seconds; `elsewhere`: whether the blob has other copies."""

    disk: Disk
    blob_id: str
    size: int
    age_s: float
    elsewhere: bool


def set_aside(store: EmbeddedStore) -> list[SetAside]:
    """Everything in quarantine on disks that work."""
    found = []
    for disk in store.all_disks():
        try:
            for blob_id in disk.quarantined():
                size, age_s = disk.of_quarantined(blob_id)
                found.append(SetAside(disk, blob_id, size, age_s, store.exists(blob_id)))
        except OSError as error:
            _log.warning("the quarantine of %s is not known: %s", disk.path, error)
    return found


def purge(store: EmbeddedStore, is_wanted: Callable[[SetAside], bool]) -> int:
    """Remove those that are not wanted; how many went."""
    gone = 0
    for copy in set_aside(store):
        if not is_wanted(copy):
            try:
                copy.disk.purge(copy.blob_id)
                gone += 1
            except OSError as error:
                _log.warning("%s stays in the quarantine of %s: %s", copy.blob_id, copy.disk.path, error)
    return gone
