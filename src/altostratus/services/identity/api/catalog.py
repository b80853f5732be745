# SPDX-License-Identifier: Apache-2.0
"""Services, endpoints and regions."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Choice, Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    CreateAt,
    Description,
    Flag,
    IdentityResource,
    Links,
    extra_members,
    list_reply,
)
from altostratus.services.identity.api.targets import needed, row_target
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.logic import policy_associations
from altostratus.services.identity.logic.catalog import INTERFACES, KNOWN_PLACES, ensure_region, places_in
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.endpoint_groups import forget_endpoints


def list_all(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


# services


_SERVICE = row_target("service", models.CatalogService)


def create_service(call: Call) -> Any:
    service_id = ids.new_hex_id()
    call.tx.insert(models.CatalogService, id=service_id, **call.body, extra=extra_members(call))
    announce(call.tx, call.cloud, "identity.service.created", service_id)
    return call.tx.get(models.CatalogService, service_id)


def update_service(call: Call) -> Any:
    row, values = needed(call), dict(call.body)
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.CatalogService, row.id, **values)
    announce(call.tx, call.cloud, "identity.service.updated", row.id)
    return call.tx.get(models.CatalogService, row.id)


def delete_service(call: Call) -> None:
    """Its endpoints and limits go with it."""
    row = needed(call)
    endpoint = table_of(models.Endpoint).c
    forget_endpoints(call.tx, call.tx.scalars(select(endpoint.id).where(endpoint.service_id == row.id)))
    policy_associations.forget(call.tx, service_id=row.id)
    for model in (models.Endpoint, models.Limit, models.RegisteredLimit):
        call.tx.delete_where(model, table_of(model).c.service_id == row.id)
    call.tx.delete(models.CatalogService, row.id)
    announce(call.tx, call.cloud, "identity.service.deleted", row.id)


class Service(IdentityResource, path="/services", one="service", many="services"):
    """A service of the catalog."""

    row = models.CatalogService
    id = Id("rs")
    type = Text(1, 255, "crufs", required=True)
    name = Text(0, 255, "crufs", default="")
    description = Description()
    enabled = Flag("cru", default=True)
    links = Links("/services")
    index = List("identity:list_services", policies.ADMIN_OR_SYSTEM_READER, list_all)
    create = Create("identity:create_service", policies.ADMIN, create_service)
    show = Show("identity:get_service", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_SERVICE)
    update = Update("identity:update_service", policies.ADMIN, update_service, method="PATCH", own_row=False,
                    target=_SERVICE)  # fmt: skip
    delete = Delete("identity:delete_service", policies.ADMIN, delete_service, own_row=False, target=_SERVICE)


# endpoints


_ENDPOINT = row_target("endpoint", models.Endpoint)


def create_endpoint(call: Call) -> Any:
    values = _endpoint_values(call)
    endpoint_id = ids.new_hex_id()
    call.tx.insert(models.Endpoint, id=endpoint_id, **{"region_id": None, **values}, extra=extra_members(call))
    announce(call.tx, call.cloud, "identity.endpoint.created", endpoint_id)
    return call.tx.get(models.Endpoint, endpoint_id)


def update_endpoint(call: Call) -> Any:
    row, values = needed(call), _endpoint_values(call)
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.Endpoint, row.id, **values)
    announce(call.tx, call.cloud, "identity.endpoint.updated", row.id)
    return call.tx.get(models.Endpoint, row.id)


def _endpoint_values(call: Call) -> dict[str, Any]:
    """Checked columns. A region named the old way (`region`) is made if it is not there."""
    values = dict(call.body)
    old_way = values.pop("region", None)
    if old_way is not None and values.get("region_id") is None:
        ensure_region(call.tx, old_way)
        values["region_id"] = old_way
    if values.get("region_id") is not None and call.tx.find(models.Region, values["region_id"]) is None:
        raise BadRequest(f"Could not find region: {values['region_id']}. Create it first.")
    if "service_id" in values and call.tx.find(models.CatalogService, values["service_id"]) is None:
        raise BadRequest(f"Could not find service: {values['service_id']}. Create it first.")
    unknown = places_in(values.get("url", "")) - KNOWN_PLACES
    if unknown:
        raise BadRequest(
            f"Cannot create an endpoint with an invalid URL: {values['url']}. It names {', '.join(sorted(unknown))};"
            f" known are {', '.join(sorted(KNOWN_PLACES))}."
        )
    return values


def delete_endpoint(call: Call) -> None:
    row = needed(call)
    forget_endpoints(call.tx, [row.id])
    call.tx.delete(models.Endpoint, row.id)
    announce(call.tx, call.cloud, "identity.endpoint.deleted", row.id)


class Endpoint(IdentityResource, path="/endpoints", one="endpoint", many="endpoints"):
    """Where a service is reached."""

    row = models.Endpoint
    id = Id("rs")
    service_id = Text(1, 64, "crufs", required=True)
    interface = Choice(*INTERFACES, on="crufs", required=True)
    url = Text(1, 2048, "cru", required=True, pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$")
    region_id = Text(1, 255, "crufs", nullable=True)
    region = Text(1, 255, "cru", nullable=True, source="region_id")
    enabled = Flag("cru", default=True)
    links = Links("/endpoints")
    index = List("identity:list_endpoints", policies.ADMIN_OR_SYSTEM_READER, list_all)
    create = Create("identity:create_endpoint", policies.ADMIN, create_endpoint)
    show = Show("identity:get_endpoint", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_ENDPOINT)
    update = Update("identity:update_endpoint", policies.ADMIN, update_endpoint, method="PATCH", own_row=False,
                    target=_ENDPOINT)  # fmt: skip
    delete = Delete("identity:delete_endpoint", policies.ADMIN, delete_endpoint, own_row=False, target=_ENDPOINT)


# regions


_REGION = row_target("region", models.Region)


def create_region(call: Call) -> Any:
    """By POST with or without an id, or by PUT to the id."""
    region_id = call.params.get("id") or call.extra.get("id") or ids.new_hex_id()
    if call.extra.get("id", region_id) != region_id:
        raise BadRequest(f'Conflicting region IDs specified: "{region_id}" != "{call.extra["id"]}"')
    if not isinstance(region_id, str) or not 1 <= len(region_id) <= 255:
        raise BadRequest("A region's id is text of 1 to 255 characters.")
    if call.tx.find(models.Region, region_id) is not None:
        raise duplicate("region", region_id)
    _demand_parent(call, region_id)
    values = {**call.body, "description": call.body.get("description") or ""}
    call.tx.insert(models.Region, id=region_id, **values, extra=extra_members(call))
    announce(call.tx, call.cloud, "identity.region.created", region_id)
    return call.tx.get(models.Region, region_id)


def update_region(call: Call) -> Any:
    row, values = needed(call), dict(call.body)
    _demand_parent(call, row.id)
    if "description" in values:
        values["description"] = values["description"] or ""
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.Region, row.id, **values)
    announce(call.tx, call.cloud, "identity.region.updated", row.id)
    return call.tx.get(models.Region, row.id)


def _demand_parent(call: Call, region_id: str) -> None:
    parent_id, seen = call.body.get("parent_region_id"), {region_id}
    while parent_id is not None:
        if parent_id in seen:
            raise BadRequest(
                f"The specified parent region {call.body['parent_region_id']} would create a circular region hierarchy."
            )
        seen.add(parent_id)
        parent = call.tx.find(models.Region, parent_id)
        if parent is None:
            raise not_found("region", parent_id)
        parent_id = parent.parent_region_id


def delete_region(call: Call) -> None:
    row = needed(call)
    region, endpoint = table_of(models.Region).c, table_of(models.Endpoint).c
    below = {row.id}
    while fresh := set(call.tx.scalars(select(region.id).where(region.parent_region_id.in_(below)))) - below:
        below |= fresh
    if call.tx.first(select(endpoint.id).where(endpoint.region_id.in_(below))) is not None:
        raise Forbidden(
            f"Unable to delete region {row.id} because it or its child regions have associated endpoints."
            " Delete those endpoints first."
        )
    for region_id in below:
        policy_associations.forget(call.tx, region_id=region_id)
    call.tx.delete_where(models.Region, region.id.in_(below))
    announce(call.tx, call.cloud, "identity.region.deleted", row.id)


class Region(IdentityResource, path="/regions", one="region", many="regions"):
    """A place of the catalog."""

    row = models.Region
    id = Id("rs")
    description = Description()
    parent_region_id = Text(1, 255, "crufs", nullable=True)
    links = Links("/regions")
    index = List("identity:list_regions", "@", list_all)
    create = Create("identity:create_region", policies.ADMIN, create_region)
    create_at = CreateAt("identity:create_region", policies.ADMIN, create_region)
    show = Show("identity:get_region", "@", needed, own_row=False, target=_REGION)
    update = Update("identity:update_region", policies.ADMIN, update_region, method="PATCH", own_row=False,
                    target=_REGION)  # fmt: skip
    delete = Delete("identity:delete_region", policies.ADMIN, delete_region, own_row=False, target=_REGION)
