# SPDX-License-Identifier: Apache-2.0
"""The disks of the embedded object store: who may change them, how they are doing, the loops that look after them.

The ring and the blobs belong to the user of the control process, so commands become that user first. They work on
the files themselves, under a lock: the same with a running cloud, which reads a changed ring at its next request.
"""

import os
from typing import TYPE_CHECKING, Any

from altostratus.app.files import prepare_directories
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, drop_privileges
from altostratus.contracts.object_store import ObjectStore, StoragePolicy
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring, upkeep
from altostratus.drivers.object_store.embedded.disk import Disk
from altostratus.drivers.object_store.embedded.ring import Device, Ring, RingError
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.kernel.reconcilers import Reconciler

if TYPE_CHECKING:  # the command must start fast
    from altostratus.kernel.cloud import Cloud

# of the time; clients get the rest
SHARE = 0.2


def embedded_stores(paths: Paths) -> PolicyStores:
    """Every storage policy has a ring of its own."""
    return PolicyStores(paths.object_policies, lambda policy: EmbeddedStore(paths.object_rings(policy)))


def rings_of(stores: PolicyStores) -> list[tuple[StoragePolicy, EmbeddedStore]]:
    return [(policy, store) for policy, store in stores.stores() if isinstance(store, EmbeddedStore)]


def open_store(paths: Paths, options: CloudOptions) -> EmbeddedStore:
    """The store, as the user of the control process from here on. Raises RingError with a sentence."""
    if options.objects != "embedded":
        raise RingError(f"This cloud keeps objects in `{options.objects}`; a ring is for [cloud] objects = embedded.")
    try:
        if not paths.objects.exists():
            prepare_directories(paths, options)
        drop_privileges(control_identity(options))
        os.umask(0o077)
        return EmbeddedStore(paths.objects)
    except PermissionError as error:
        raise RingError(
            f"{error.filename} belongs to another user. Run the command as that user, or with sudo."
        ) from error


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
            made = ring.add(made, usable_directory(directory, made), zone, 100.0)
        return _as_next(before, ring.rebalance(made)[0])

    return store.alter_ring(make)


def _as_next(before: Ring, after: Ring) -> Ring:
    """Ids go on: a disk of the ring before must not be taken for one of this."""
    first = before.next_id
    return ring.renumbered(after, first, before.version + 1)


def usable_directory(path: str, present: Ring) -> str:
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
        device = ring.find(before, path)
        if not lost and _holds_anything(Disk(device.id, device.path)):
            raise RingError(
                f"{path} has copies still. Empty it: alto ring set-weight {path} 0, alto ring rebalance, "
                "alto ring replicate; or give --lost if they cannot be read any longer."
            )
        return ring.rebalance(ring.remove(before, path))[0]

    return store.alter_ring(take)


def _holds_anything(disk: Disk) -> bool:
    return any(disk.blobs_in(partition) for partition in disk.partitions())


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
    disk = Disk(device.id, device.path)
    try:
        shown["free_bytes"], shown["total_bytes"] = disk.room()
        shown["pending"], shown["quarantined"] = len(list(disk.pending())), len(disk.quarantined())
    except OSError as error:
        shown["trouble"] = error.strerror
    return shown


def disk_troubles(paths: Paths, options: CloudOptions) -> list[str]:
    """Sentences about disks that do not work and copies that were set aside; none where there is no ring yet."""
    if options.objects != "embedded" or not (paths.objects / "ring.json").exists():
        return []
    found = []
    for disk in EmbeddedStore(paths.objects).all_disks():
        try:
            disk.room()
            damaged = len(disk.quarantined())
        except OSError as error:
            found.append(f"{disk.path} does not work: {error.strerror}")
            continue
        if damaged:
            found.append(f"{damaged} damaged copies lie in {disk.path}/quarantine; delete them when nobody needs them")
    return found


def _replicate(cloud: "Cloud") -> None:
    for _, store in _rings_in(cloud):
        upkeep.replicate(store, pace=upkeep.Pace(SHARE))


def _audit(cloud: "Cloud") -> None:
    for _, store in _rings_in(cloud):
        upkeep.audit(store, pace=upkeep.Pace(SHARE))


def _rings_in(cloud: "Cloud") -> list[tuple[StoragePolicy, EmbeddedStore]]:
    found = cloud.part(ObjectStore) if cloud.has_part(ObjectStore) else None  # type: ignore[type-abstract]
    return rings_of(found) if isinstance(found, PolicyStores) else []


DISK_UPKEEP = (
    Reconciler("object_store.replicate", 300.0, _replicate),
    Reconciler("object_store.audit", 6 * 3600.0, _audit),
)
