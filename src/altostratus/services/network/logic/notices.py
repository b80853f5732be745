# SPDX-License-Identifier: Apache-2.0
"""Notifications under upstream's names, such as `port.create.end`."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx

_INTERNAL = frozenset({"ip_cursor", "created_by_compute", "quarantined", "is_default"})


def tell(tx: Tx, cloud: Cloud, event: str, row: Row[Any]) -> None:
    """`event` is "port.create": the row becomes the payload's member "port"."""
    what = event.partition(".")[0]
    values = {name: value for name, value in row._mapping.items() if name not in _INTERNAL}
    tell_of(tx, cloud, event, {what: values})


def tell_deleted(tx: Tx, cloud: Cloud, event: str, row: Row[Any]) -> None:
    what = event.partition(".")[0]
    tell_of(tx, cloud, event, {f"{what}_id": row.id, "project_id": row.project_id})


def tell_of(tx: Tx, cloud: Cloud, event: str, payload: dict[str, Any]) -> None:
    cloud.events.emit(tx, f"{event}.end", payload, publisher_id="network")
