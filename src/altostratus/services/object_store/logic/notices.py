# SPDX-License-Identifier: Apache-2.0
"""Notifications about containers, for whoever meters them."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.object_store.logic import access

PUBLISHER = "object_store.control"


def tell_deleted(tx: Tx, cloud: Cloud, container: Row[Any]) -> None:
    """From here on it uses nothing. Upstream has no such event: its meters ask for the listing."""
    payload = {
        "account": container.account,
        "project_id": access.project_of(container.account),
        "name": container.name,
    }
    cloud.events.emit(tx, "objectstore.container.delete", payload, publisher_id=PUBLISHER)
