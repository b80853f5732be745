# SPDX-License-Identifier: Apache-2.0
"""Which policy document belongs to which endpoint: its own, else that of its service in its region, or in a region
above, else that of its service."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.errors import NotFound
from altostratus.services.identity.models import Endpoint, PolicyAssociation, PolicyDocument, Region


def policy_of(tx: Tx, endpoint: Any) -> Any:
    """The policy document of an endpoint's row. Raises NotFound."""
    column = table_of(PolicyAssociation).c
    named = (column.endpoint_id == endpoint.id) | (column.service_id == endpoint.service_id)
    known = {
        (row.endpoint_id, row.service_id, row.region_id): row.policy_id
        for row in tx.rows(select(table_of(PolicyAssociation)).where(named))
    }
    keys = [(endpoint.id, "", "")]
    keys += [("", endpoint.service_id, region_id) for region_id in _regions_from(tx, endpoint.region_id)]
    keys.append(("", endpoint.service_id, ""))
    for key in keys:
        if key in known:
            return tx.get(PolicyDocument, known[key], what="policy")
    raise NotFound(f"No policy is associated with endpoint {endpoint.id}. Associate one with it or with its service.")


def _regions_from(tx: Tx, region_id: str | None) -> list[str]:
    """The region and those above it, nearest first."""
    region = table_of(Region).c
    parents = {row.id: row.parent_region_id for row in tx.rows(select(region.id, region.parent_region_id))}
    found: list[str] = []
    while region_id is not None and region_id in parents and region_id not in found:
        found.append(region_id)
        region_id = parents[region_id]
    return found


def endpoints_of(tx: Tx, policy_id: str) -> list[Any]:
    """Rows of the endpoints that associations of the policy name, regions with all below them."""
    association, endpoint, region = table_of(PolicyAssociation), table_of(Endpoint), table_of(Region).c
    above = {row.id: row.parent_region_id for row in tx.rows(select(region.id, region.parent_region_id))}
    named = tx.rows(select(association).where(association.c.policy_id == policy_id))
    direct = {row.endpoint_id for row in named}
    placed = {(row.service_id, row.region_id) for row in named}
    everywhere = {row.service_id for row in named if not row.region_id}

    def is_meant(row: Any) -> bool:
        if row.id in direct or row.service_id in everywhere:
            return True
        step, seen = row.region_id, set()
        while step is not None and step not in seen:
            if (row.service_id, step) in placed:
                return True
            seen.add(step)
            step = above.get(step)
        return False

    return [row for row in tx.rows(select(endpoint).order_by(endpoint.c.id)) if is_meant(row)]


def forget(tx: Tx, **gone: str) -> None:
    """Associations that name what is going: `policy_id=`, `service_id=`, `region_id=`."""
    column = table_of(PolicyAssociation).c
    tx.delete_where(PolicyAssociation, *(column[name] == value for name, value in gone.items()))
