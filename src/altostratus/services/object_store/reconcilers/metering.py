# SPDX-License-Identifier: Apache-2.0
"""Tells what accounts use, and what they were used for, to whoever meters: events in the outbox.

`objectstore.usage` is told of every account that changed, with the containers that changed: the exact counts of that
moment, which no crash loses. `objectstore.http.request` tells requests and their bytes, added up since the last time,
in the form that upstream's middleware for Ceilometer gives them; killed at once, a process takes the sums of the last
seconds along. Names of metrics are Ceilometer's.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.api.metering import Line, Meter, Sums
from altostratus.services.object_store.api.policies import names_by_index
from altostratus.services.object_store.logic import access
from altostratus.services.object_store.logic.notices import PUBLISHER
from altostratus.services.object_store.models import Account, Container

_EVERY_S = 15.0
_ACCOUNTS_AT_ONCE = 100
_CONTAINERS_AT_ONCE = 500
_account, _container = table_of(Account), table_of(Container)
# CADF's names of what a method does
_ACTIONS = {"GET": "read", "HEAD": "read", "PUT": "update", "POST": "create", "DELETE": "delete", "OPTIONS": "read"}


def tell_usage(cloud: Cloud) -> None:
    """Every account that changed since it was told last."""
    while True:
        with cloud.db.read() as tx:
            changed = tx.scalars(
                select(_account.c.name).where(_account.c.changes != _account.c.metered).limit(_ACCOUNTS_AT_ONCE)
            )
        for name in changed:
            with cloud.db.write() as tx:
                _tell_account(tx, cloud, name)
        if len(changed) < _ACCOUNTS_AT_ONCE:
            return


def tell_traffic(cloud: Cloud) -> None:
    """What was counted goes to the events, or is counted on."""
    if not cloud.has_part(Meter):
        return
    meter = cloud.part(Meter)
    taken = meter.take()
    if not taken:
        return
    try:
        with cloud.db.write() as tx:
            for line, sums in taken.items():
                cloud.events.emit(tx, "objectstore.http.request", _traffic(line, sums), publisher_id=PUBLISHER)
    except BaseException:
        meter.put_back(taken)
        raise


def _tell_account(tx: Tx, cloud: Cloud, name: str) -> None:
    """An event for some hundred containers; one at least."""
    account = tx.get(Account, name)
    changed = select(_container).where(_container.c.account == name, _container.c.changes != _container.c.metered)
    rows = tx.rows(changed.order_by(_container.c.name).limit(_CONTAINERS_AT_ONCE))
    cloud.events.emit(tx, "objectstore.usage", _usage(cloud, account, rows), publisher_id=PUBLISHER)
    for row in rows:
        tx.update(Container, row.id, metered=row.changes)
    if len(rows) < _CONTAINERS_AT_ONCE:
        tx.update(Account, name, metered=account.changes)


def _usage(cloud: Cloud, account: Row[Any], containers: list[Row[Any]]) -> dict[str, Any]:
    names = names_by_index(cloud)
    return {
        "account": account.name,
        "project_id": access.project_of(account.name),
        "time": clock.now(),
        "measurements": [
            _measured("storage.objects", "object", account.object_count),
            _measured("storage.objects.size", "B", account.bytes_used),
            _measured("storage.objects.containers", "container", account.container_count),
        ],
        "containers": [
            {
                "name": row.name,
                "storage_policy": names[row.policy],
                "measurements": [
                    _measured("storage.containers.objects", "object", row.object_count),
                    _measured("storage.containers.objects.size", "B", row.bytes_used),
                ],
            }
            for row in containers
        ],
    }


def _traffic(line: Line, sums: Sums) -> dict[str, Any]:
    measurements = [_measured("storage.api.request", "request", sums.requests)]
    if sums.received_bytes:
        measurements.append(_measured("storage.objects.incoming.bytes", "B", sums.received_bytes))
    if sums.sent_bytes:
        measurements.append(_measured("storage.objects.outgoing.bytes", "B", sums.sent_bytes))
    return {
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
        "eventType": "activity",
        "id": ids.new_id(),
        "eventTime": clock.now(),
        "action": _ACTIONS[line.method],
        "outcome": "success",
        "observer": {"id": "target"},
        "initiator": {
            "typeURI": "service/security/account/user",
            "id": line.user_id,
            "project_id": line.user_project_id,
        },
        "target": {
            "typeURI": "service/storage/object",
            "id": line.project_id,
            "action": line.method.lower(),
            "metadata": {
                "path": f"v1/{access.account_of(line.project_id)}", "version": "v1", "container": None, "object": None,
            },
        },
        "measurements": measurements,
    }  # fmt: skip


def _measured(name: str, unit: str, result: int) -> Mapping[str, Any]:
    return {"result": result, "metric": {"metricId": ids.new_id(), "name": name, "unit": unit}}


TELL_USAGE = Reconciler("object_store.usage", _EVERY_S, tell_usage)
TELL_TRAFFIC = Reconciler("object_store.traffic", _EVERY_S, tell_traffic, at_end=True)
