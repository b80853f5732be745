# SPDX-License-Identifier: Apache-2.0
"""The disks of the embedded object store: who may change them, and how they are doing.

The ring and the blobs belong to the user of the control process, so commands become that user first. They work on
the files themselves, under a lock: the same with a running cloud, which reads a changed ring at its next request.
"""

import os
from typing import Any

from altostratus.app.files import prepare_directories
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, drop_privileges
from altostratus.contracts.object_store import StoragePolicy
from altostratus.drivers.object_store import policies
from altostratus.drivers.object_store.embedded import EmbeddedStore, marks, ring
from altostratus.drivers.object_store.embedded.disk import Disk, disk_of
from altostratus.drivers.object_store.embedded.ring import Device, Ring, RingError
from altostratus.drivers.object_store.policies import PolicyError, PolicyStores
from altostratus.kernel import ids

# of the time; clients get the rest
SHARE = 0.2


def embedded_stores(paths: Paths) -> PolicyStores:
    """Every storage policy has a ring of its own."""
    return PolicyStores(paths.object_policies, lambda policy: EmbeddedStore(paths.object_rings(policy)))


def rings_of(stores: PolicyStores) -> list[tuple[StoragePolicy, EmbeddedStore]]:
    return [(policy, store) for policy, store in stores.stores() if isinstance(store, EmbeddedStore)]


def ring_of(stores: PolicyStores, policy: str) -> EmbeddedStore:
    """That of the policy of this name; without a name, of the default policy. Raises PolicyError."""
    present = stores.policies()
    chosen = policies.get(present, policy) if policy else policies.default(present)
    return next(store for known, store in rings_of(stores) if known == chosen)


def open_stores(paths: Paths, options: CloudOptions) -> PolicyStores:
    """The stores, as the user of the control process from here on. Raises RingError with a sentence."""
    if options.objects != "embedded":
        raise RingError(f"This cloud keeps objects in `{options.objects}`; a ring is for [cloud] objects = embedded.")
    try:
        if not paths.objects.exists():
            prepare_directories(paths, options)
        drop_privileges(control_identity(options))
        os.umask(0o077)
        return embedded_stores(paths)
    except PermissionError as error:
        raise RingError(
            f"{error.filename} belongs to another user. Run the command as that user, or with sudo."
        ) from error


def create_policy(
    stores: PolicyStores, paths: Paths, name: str, directories: list[str], *, part_power: int, replicas: int
) -> Ring:
    """A new storage policy with its ring; the cloud may run meanwhile. Raises RingError, PolicyError."""
    made: list[Ring] = []

    def make(before: policies.Policies) -> policies.Policies:
        after = policies.added(before, name)
        store = EmbeddedStore(paths.object_rings(after[-1].index))
        made.append(create_ring(store, directories, part_power=part_power, replicas=replicas))
        return after

    stores.alter(make)
    return made[0]


def create_ring(store: EmbeddedStore, directories: list[str], *, part_power: int, replicas: int) -> Ring:
    """Another ring in the place of the present one, which must hold nothing. Each disk gets a zone of its own."""

    def make(before: Ring) -> Ring:
        if next(store.blob_ids(), None) is not None:
            raise RingError(
                "There are objects in the present ring, and another number of partitions would hide them. "
                "Change it with add, set-weight and remove."
            )
        made = ring.create(part_power, replicas)
        for zone, directory in enumerate(directories, 1):
            made = add_disk(made, directory, zone, 100.0, former=before)
        return _as_next(before, ring.rebalance(made)[0])

    return store.alter_ring(make)


def _as_next(before: Ring, after: Ring) -> Ring:
    """Ids go on: a disk of the ring before must not be taken for one of this."""
    first = before.next_id
    return ring.renumbered(after, first, before.version + 1)


def add_disk(present: Ring, path: str, zone: int, weight: float, *, former: Ring, take: bool = False) -> Ring:
    """The ring with another disk, on which its mark is written. A disk of the `former` ring may be given again.

    take   keep what is on a disk of another ring, such as one that was lost. Raises RingError.
    """
    whole = _usable_directory(path, present)
    found, disk = marks.read(whole), Disk(-1, whole)
    if any(found and device.mark == found for device in present.devices):
        raise RingError(f"{whole} is a disk of the ring already, by another path.")
    if found and not take and all(device.mark != found for device in former.devices):
        raise RingError(
            f"{whole} is marked as a disk of another ring. If that is gone, empty the directory, "
            "or give --take to keep what is in it."
        )
    if take and any(present.partition_of(blob) != part for part in disk.partitions() for blob in disk.blobs_in(part)):
        raise RingError(f"What is in {whole} was kept by a ring with another number of partitions; it cannot be taken.")
    mark = ids.new_hex_id()
    marks.write(whole, mark)
    return ring.add(present, whole, zone, weight, mark=mark, mount=marks.mount_of(whole))


def accept_disk(store: EmbeddedStore, path: str) -> Ring:
    """From now on the disk that is there is the right one. Raises RingError."""

    def change(before: Ring) -> Ring:
        _usable_directory(path, ring.remove(before, path))
        mark = marks.read(path) or ids.new_hex_id()
        if any(device.mark == mark and device.path != path for device in before.devices):
            raise RingError(f"{path} has the mark of another disk of the ring. Mount each disk at its own place.")
        marks.write(path, mark)
        return ring.accept(before, path, mark, marks.mount_of(path))

    return store.alter_ring(change)


def _usable_directory(path: str, present: Ring) -> str:
    """Its whole path. Raises RingError with what to do if the control process cannot keep anything there."""
    whole = os.path.realpath(path)
    if not os.path.isdir(whole):
        raise RingError(f"{whole} is no directory. Mount the disk, or make it: mkdir -p {whole}")
    if not os.access(whole, os.R_OK | os.W_OK | os.X_OK):
        raise RingError(
            f"The cloud (user id {os.geteuid()}) may not write to {whole}. Give it: chown {os.geteuid()} {whole}"
        )
    for device in present.devices:
        if whole.startswith(f"{device.path}/") or device.path.startswith(f"{whole}/"):
            raise RingError(f"{whole} and the disk {device.path} lie one in the other. Take separate directories.")
    return whole


def remove_disk(store: EmbeddedStore, path: str, *, lost: bool) -> Ring:
    """Take a disk out. Raises RingError while it has copies, unless they are lost anyway."""

    def take(before: Ring) -> Ring:
        disk = disk_of(ring.find(before, path))
        if not lost:
            _demand_empty(disk)
        if not _trouble_of(disk):
            marks.remove(str(disk.path))
        return ring.rebalance(ring.remove(before, path))[0]

    return store.alter_ring(take)


def _demand_empty(disk: Disk) -> None:
    """Nobody knows what is on a disk that does not work."""
    trouble = _trouble_of(disk)
    if trouble:
        raise RingError(f"{disk.path} does not work: {trouble}. If its copies are lost, give --lost.")
    if any(disk.blobs_in(partition) for partition in disk.partitions()):
        raise RingError(
            f"{disk.path} has copies still. Empty it: alto ring set-weight {disk.path} 0, alto ring rebalance, "
            "alto ring replicate; or give --lost if they cannot be read any longer."
        )


def _trouble_of(disk: Disk) -> str | None:
    try:
        disk.demand_right()
        disk.room()
    except OSError as error:
        return error.strerror or str(error)
    return None


def picture(store: EmbeddedStore) -> dict[str, Any]:
    """The ring and its disks as plain data: partitions held and expected, room, trouble."""
    present = store.ring
    held, wanted = ring.spread(present), ring.expected(present)
    return {
        "part_power": present.part_power,
        "partitions": present.partitions,
        "replicas": present.replicas,
        "copies": len(present.assignment),
        "version": present.version,
        "disks": [_disk_view(device, held[device.id], wanted.get(device.id, 0.0)) for device in present.devices],
        "zones_per_partition": ring.zone_counts(present),
    }


def _disk_view(device: Device, held: int, expected: float) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": device.id, "path": device.path, "zone": device.zone, "weight": device.weight,
        "partitions": held, "expected": round(expected, 1), "free_bytes": None, "total_bytes": None,
        "pending": None, "quarantined": None, "trouble": None,
    }  # fmt: skip
    disk = disk_of(device)
    shown["trouble"] = _trouble_of(disk)
    if shown["trouble"] is None:
        shown["free_bytes"], shown["total_bytes"] = disk.room()
        shown["pending"], shown["quarantined"] = len(list(disk.pending())), len(disk.quarantined())
    return shown


def disk_troubles(paths: Paths, options: CloudOptions) -> list[str]:
    """Sentences about disks that do not work and copies that were set aside; none where there is no ring yet."""
    if options.objects != "embedded" or not any(paths.objects.glob("ring.json*")):
        return []
    try:
        disks = [disk for _, store in rings_of(embedded_stores(paths)) for disk in store.all_disks()]
    except (RingError, PolicyError) as error:
        return [str(error).rstrip(".")]
    found = []
    for disk in disks:
        trouble = _trouble_of(disk)
        if trouble is not None:
            found.append(f"{disk.path} does not work: {trouble}")
        elif damaged := len(disk.quarantined()):
            found.append(f"{damaged} damaged copies lie in {disk.path}/quarantine; look at them: alto ring quarantine")
    return found
