# SPDX-License-Identifier: Apache-2.0
"""A listing with a prefix had two bounds at one end: SQLite searched by the first and read everything up to the second.

Folders below a prefix took four seconds where there were a million objects below it.
"""

import pytest

from altostratus.kernel.db import table_of
from altostratus.services.object_store.logic import listing
from altostratus.services.object_store.models import StoredObject

NAMES = [f"{folder}/{number:02}" for folder in ("a", "deep/a", "deep/b", "deep/c", "z") for number in range(40)]


@pytest.fixture(autouse=True)
def objects(swift):
    swift("PUT", "c")
    for name in NAMES:
        swift.put(f"c/{name}")


def steps_of(cloud, **wanted):
    """(names, steps of SQLite's machine that they took)"""
    table = table_of(StoredObject)
    asked = listing.Wanted(**{"limit": 100, **wanted})
    with cloud.cloud.db.read() as tx:
        key = tx.scalar(table.select().with_only_columns(table.c.container_id))
        steps = []
        raw = tx.conn.connection.dbapi_connection
        raw.set_progress_handler(lambda: steps.append(1), 1)
        try:
            found = listing.page(tx, table.select().where(table.c.container_id == key), table, asked)
        finally:
            raw.set_progress_handler(None, 0)
    return [getattr(item, "name", item) for item in found], len(steps)


@pytest.mark.parametrize(
    "far",
    [
        {"prefix": "deep/", "marker": "deep/c/35"},
        {"prefix": "deep/", "end_marker": "deep/a/04"},
        {"prefix": "deep/", "reverse": True, "marker": "deep/a/04"},
        {"prefix": "deep/", "reverse": True, "end_marker": "deep/c/35"},
    ],
    ids=["marker", "end-marker", "marker-backwards", "end-marker-backwards"],
)
def test_only_what_is_shown_is_read(cloud, far):
    found, steps = steps_of(cloud, **far)
    assert len(found) == 4
    _, least = steps_of(cloud, limit=4)
    assert steps < 2 * least


def in_python(prefix="", marker="", end_marker="", reverse=False):
    chosen = [name for name in NAMES if name.startswith(prefix)]
    if reverse:
        return [name for name in reversed(chosen) if (not marker or name < marker) and name > end_marker]
    return [name for name in chosen if name > marker and (not end_marker or name < end_marker)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("prefix", ["", "deep/", "deep/b", "nothing"])
def test_bounds_mean_what_they_say(cloud, prefix, reverse):
    places = ["", "a", "deep", "deep/", "deep/b/07", "deep/c/39", "deep0", "zz"]
    for marker in places:
        for end_marker in places:
            given = {"prefix": prefix, "marker": marker, "end_marker": end_marker, "reverse": reverse}
            found, _ = steps_of(cloud, **{**given, "limit": 1000})
            assert found == in_python(**given), given
