# SPDX-License-Identifier: Apache-2.0
"""What a container keeps of objects that are replaced or deleted, in another container of the account.

`X-Versions-Location` is a stack: a delete brings the newest version back. `X-History-Location` is a history: a delete
leaves a marker there. Versions are named `<length of the name, 3 hexadecimal digits><name>/<timestamp>`, as in Swift.
Only rows move; the bytes stay where they are.
"""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import PreconditionFailed
from altostratus.services.object_store.logic import containers
from altostratus.services.object_store.logic.times import now_us, stamp
from altostratus.services.object_store.models import StoredObject

STACK, HISTORY = "x-versions-location", "x-history-location"
MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
_STAMP_STEP_US = 10  # stamps have five decimals
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def keeps(settings: dict[str, Any]) -> bool:
    return STACK in settings or HISTORY in settings


def archive(tx: Tx, container: Row[Any], row: Row[Any], held: int) -> None:
    """Another row for the same bytes, among the versions. Raises PreconditionFailed if their container is gone."""
    keeper = _keeper(tx, container)
    moment_us = row.modified_us
    while tx.find(StoredObject, keeper.id, _prefix(row.name) + stamp(moment_us)) is not None:
        moment_us += _STAMP_STEP_US  # a copy of a version that was put back
    tx.insert(StoredObject, **{**row._mapping, "container_id": keeper.id, "name": _prefix(row.name) + stamp(moment_us)})
    containers.count(tx, keeper, 1, held)


def newest(tx: Tx, container: Row[Any], name: str) -> tuple[Row[Any], Row[Any]] | None:
    """(the container of versions, the newest version) if a delete must bring one back."""
    if STACK not in container.settings:
        return None
    keeper, prefix, item = _keeper(tx, container), _prefix(name), table_of(StoredObject)
    found = tx.first(
        select(item)
        .where(item.c.container_id == keeper.id, item.c.name >= prefix, item.c.name < prefix + "\U0010ffff")
        .where(item.c.content_type != MARKER_TYPE)
        .order_by(item.c.name.desc())
        .limit(1)
    )
    return None if found is None else (keeper, found)


def mark_deleted(tx: Tx, container: Row[Any], name: str) -> None:
    """In a history: from here on there is no object of this name."""
    if HISTORY not in container.settings:
        return
    keeper, moment = _keeper(tx, container), now_us()
    tx.insert(
        StoredObject, container_id=keeper.id, name=_prefix(name) + stamp(moment), size=0, etag=EMPTY_MD5,
        content_type=MARKER_TYPE, modified_us=moment, meta={}, headers={},
    )  # fmt: skip
    containers.count(tx, keeper, 1, 0)


def _keeper(tx: Tx, container: Row[Any]) -> Row[Any]:
    name = container.settings.get(STACK) or container.settings[HISTORY]
    keeper = containers.find(tx, container.account, name)
    if keeper is None:
        raise PreconditionFailed(
            f"The container {name!r} that keeps versions does not exist. Make it, or take the setting away."
        )
    return keeper


def _prefix(name: str) -> str:
    return f"{len(name.encode()):03x}{name}/"
