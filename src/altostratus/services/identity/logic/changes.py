# SPDX-License-Identifier: Apache-2.0
"""Every change of identity says so: an event for those who listen, and a new revision for cached tokens."""

from sqlalchemy import select, update

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.models import Revision

TOPIC = "identity"


def announce(tx: Tx, cloud: Cloud, event_type: str, resource_id: str) -> None:
    """Emit `event_type` (`identity.user.created` ...) and void what processes remember about tokens."""
    cloud.events.emit(tx, event_type, {"resource_info": resource_id}, publisher_id="identity.control")
    void_cached_tokens(tx, cloud)


def void_cached_tokens(tx: Tx, cloud: Cloud) -> None:
    """This process looks tokens up again from the commit on, others within their `revision_check_s`."""
    revision = table_of(Revision)
    counted = tx.execute(update(revision).where(revision.c.id == 1).values(value=revision.c.value + 1))
    if counted.rowcount == 0:
        tx.insert(Revision, id=1, value=1)
    tx.after_commit(lambda: cloud.bus.wake(TOPIC))


def current_revision(tx: Tx) -> int:
    return int(tx.scalar(select(table_of(Revision).c.value)) or 0)
