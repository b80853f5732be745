# SPDX-License-Identifier: Apache-2.0
"""What must stay true of images: no upload hangs for ever, no data without an image."""

from altostratus.contracts.image_store import ImageStoreError
from altostratus.kernel import clock, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.logic import uploads
from altostratus.services.image.models import ImageRow
from altostratus.services.image.stores import store_of

_log = log.get("image")
_TEMPORARY_AGE_S = 900.0
# the only process there is, and it receives nothing: what was not written to for so long is dead
_IDLE_TEMPORARY_AGE_S = 60.0
_BATCH = 500


def end_dead_uploads(cloud: Cloud) -> int:
    """Put images back to queued whose upload ended with its process; how many there were."""
    oldest = None if cloud.db.is_sqlite else clock.after(-cloud[ImageOptions].stale_upload_s)
    running = cloud.part(uploads.Uploads)
    with cloud.db.read() as tx:
        dead = uploads.list_dead(tx, running, oldest_sign=oldest)
    for row in dead:
        with cloud.db.write() as tx:
            uploads.restore(tx, row.id, row.upload)
        _log.warning("the upload of image %s ended with its process; the image is queued again", row.id)
    return len(dead)


class Orphans:
    """Data that no image names, with the time it was first seen so. One per process."""

    def __init__(self, grace_s: float = 600.0) -> None:
        self.grace_s = grace_s
        self._since: dict[str, float] = {}

    def ripe(self, locations: set[str]) -> list[str]:
        """Those of `locations` that were orphans already `grace_s` ago."""
        now = clock.monotonic()
        self._since = {location: self._since.get(location, now) for location in locations}
        return [location for location, since in self._since.items() if now - since >= self.grace_s]


def sweep_data(cloud: Cloud) -> int:
    """Remove data that no image has named for a while, and what killed uploads have left; how much went.

    Deletions have a job of their own, so this finds only what crashes left. It never runs on a database
    without any image: an empty database must not empty the store.
    """
    store = store_of(cloud)
    # first the data, then the rows: an image exists before its data, so what has no row now never gets one
    locations = store.list_locations()
    orphans: set[str] = set()
    for start in range(0, len(locations), _BATCH):
        batch = {location: _image_id(location) for location in locations[start : start + _BATCH]}
        orphans |= set(batch) - _named(cloud, batch)
    removed = 0
    if len(orphans) < len(locations):
        for location in cloud.part(Orphans).ripe(orphans):
            _log.warning("removing %s, which no image names", location)
            store.delete(location)
            removed += 1
    elif orphans:
        _log.warning("%d images are kept in the store though the database names none", len(orphans))
    idle = cloud.db.is_sqlite and cloud.part(uploads.Uploads).is_idle()
    return removed + store.sweep(_IDLE_TEMPORARY_AGE_S if idle else _TEMPORARY_AGE_S)


def _named(cloud: Cloud, batch: dict[str, str]) -> set[str]:
    """Locations that an image has, or may have in a moment (data is arriving)."""
    table = table_of(ImageRow)
    statement = table.select().where(table.c.id.in_(set(batch.values())))
    with cloud.db.read() as tx:
        rows = {row.id: row for row in tx.rows(statement)}
    named = set()
    for location, image_id in batch.items():
        row = rows.get(image_id)
        if row is not None and (row.status in uploads.RECEIVING or location in (row.location, row.staged_location)):
            named.add(location)
    return named


def _image_id(location: str) -> str:
    return location.partition(":")[2].removesuffix("-staged")


def look_after_images(cloud: Cloud) -> None:
    """One pass."""
    end_dead_uploads(cloud)
    try:
        sweep_data(cloud)
    except ImageStoreError as error:
        _log.warning("the image store could not be swept: %s", error)


RECONCILERS = (Reconciler("image.data", 60.0, look_after_images),)
