# SPDX-License-Identifier: Apache-2.0
"""The service catalog: what a token shows, and the entries of this cloud's own services."""

import re
from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.resource.service import Service
from altostratus.services.identity.logic.changes import void_cached_tokens
from altostratus.services.identity.logic.endpoint_groups import endpoints_of
from altostratus.services.identity.models import CatalogService, Endpoint, Region

INTERFACES = ("public", "internal", "admin")
_PLACE = re.compile(r"[$%]\((\w+)\)s")
KNOWN_PLACES = frozenset({"project_id", "tenant_id", "user_id"})


def places_in(url: str) -> set[str]:
    """Names of the substitutions in an endpoint's URL."""
    return set(_PLACE.findall(url))


def catalog_for(tx: Tx, user_id: str, project_id: str | None, *, all_by_default: bool = True) -> list[dict[str, Any]]:
    """The catalog as a token shows it. Endpoints that need a project are left out without one.

    A project that is associated with endpoints gets those, and no service without one; others get all, or nothing
    unless `all_by_default`.
    """
    service, endpoint = table_of(CatalogService).c, table_of(Endpoint).c
    own = {row.id for row in endpoints_of(tx, project_id)} if project_id else set()
    if not own and not all_by_default:
        return []
    entries: dict[str, dict[str, Any]] = {}
    values = {"user_id": user_id} | ({"project_id": project_id, "tenant_id": project_id} if project_id else {})
    for row in tx.rows(select(table_of(CatalogService)).where(service.enabled).order_by(service.type, service.id)):
        entries[row.id] = {"id": row.id, "type": row.type, "name": row.name, "endpoints": []}
    for row in tx.rows(select(table_of(Endpoint)).where(endpoint.enabled).order_by(endpoint.interface, endpoint.id)):
        if own and row.id not in own:
            continue
        if row.service_id in entries and places_in(row.url) <= set(values):
            shown = {
                "id": row.id,
                "interface": row.interface,
                "region_id": row.region_id,
                "region": row.region_id,
                "url": _PLACE.sub(lambda found: values[found[1]], row.url),
            }
            entries[row.service_id]["endpoints"].append(shown)
    return [entry for entry in entries.values() if entry["endpoints"] or not own]


def catalog_path(service: Service) -> str:
    """Microversioned services are entered with their version, others at their root: so clients expect it."""
    path = service.catalog_path or (service.path if service.versions.minimum is not None else service.root)
    return path + ("/$(project_id)s" if service.project_in_path else "")


def register_catalog(tx: Tx, cloud: Cloud, base_url: str, region: str = "RegionOne") -> None:
    """Enter every service of the cloud, with its three endpoints; a moved cloud gets its new URLs. Idempotent."""
    changed = ensure_region(tx, region)
    entries = [
        (service, service_type)
        for service in cloud.all_services()
        if service.in_catalog
        for service_type in service.catalog_types
    ]
    for service, service_type in entries:
        service_id = _own_id("service", service_type)
        if tx.find(CatalogService, service_id) is None:
            tx.insert(
                CatalogService,
                id=service_id, type=service_type, name=service.name, description=service.title, enabled=True, extra={},
            )  # fmt: skip
            changed = True
        url = base_url + catalog_path(service)
        for interface in INTERFACES:
            changed = _ensure_endpoint(tx, service_id, region, interface, url) or changed
    if changed:
        void_cached_tokens(tx, cloud)


def ensure_region(tx: Tx, region_id: str) -> bool:
    if tx.find(Region, region_id) is not None:
        return False
    tx.insert(Region, id=region_id, description="", parent_region_id=None, extra={})
    return True


def _ensure_endpoint(tx: Tx, service_id: str, region: str, interface: str, url: str) -> bool:
    endpoint_id = _own_id("endpoint", f"{service_id} {region} {interface}")
    row = tx.find(Endpoint, endpoint_id)
    if row is None:
        tx.insert(
            Endpoint,
            id=endpoint_id, service_id=service_id, region_id=region, interface=interface, url=url, enabled=True,
            extra={},
        )  # fmt: skip
        return True
    return row.url != url and tx.update(Endpoint, endpoint_id, url=url) == 1


def _own_id(kind: str, name: str) -> str:
    """The same id in every start, so that entries are found again."""
    return ids.derived_id(f"catalog {kind}", name).replace("-", "")
