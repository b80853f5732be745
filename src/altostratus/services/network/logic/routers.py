# SPDX-License-Identifier: Apache-2.0
"""Making, changing and removing routers, and their static routes."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import in_use, invalid, listed
from altostratus.services.network.logic import gateways, notices, queries, quotas, router_wants, rows, subnet_rules
from altostratus.services.network.models import Router, Subnet

Route = dict[str, str]


def create(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any], gateway: dict[str, Any] | None) -> Row[Any]:
    """A new router; `gateway` is `external_gateway_info`. Raises BadRequest, Conflict or OverQuota."""
    quotas.demand(tx, cloud, project_id, {"router": 1})
    new = {**rows.begin(project_id), **values}
    tx.insert(Router, **new)
    router = queries.get_router(tx, new["id"])
    if gateway:
        gateways.set_gateway(tx, cloud, router, gateway)
    router_wants.publish_router(tx, cloud, router.id)
    router = queries.get_router(tx, new["id"])
    notices.tell(tx, cloud, "router.create", router)
    return router


def update(tx: Tx, cloud: Cloud, router: Row[Any], values: dict[str, Any]) -> Row[Any]:
    """Change the router; `external_gateway_info` (None or empty: take it away) and `routes` among `values`."""
    if "external_gateway_info" in values:
        gateway = values.pop("external_gateway_info")
        if gateway:
            gateways.set_gateway(tx, cloud, router, gateway)
        else:
            gateways.clear(tx, cloud, router)
        router = queries.get_router(tx, router.id)
    if "routes" in values:
        values["routes"] = check_routes(tx, cloud, router, values["routes"] or [])
    rows.change(tx, Router, router.id, **values)
    router_wants.publish_router(tx, cloud, router.id)
    now = queries.get_router(tx, router.id)
    notices.tell(tx, cloud, "router.update", now)
    return now


def delete(tx: Tx, cloud: Cloud, router: Row[Any]) -> None:
    """Remove the router with its gateway. Raises RouterInUse while it has interfaces."""
    interfaces = queries.ports_of_device(tx, router.id, queries.ROUTER_INTERFACE)
    if interfaces:
        raise in_use(
            f"Router {router.id} still has ports: {listed(port.id for port in interfaces)}. "
            "Remove its interfaces first.",
            "RouterInUse",
        )
    gateways.clear(tx, cloud, router)
    tx.delete(Router, router.id)
    router_wants.publish_router(tx, cloud, router.id)
    notices.tell_deleted(tx, cloud, "router.delete", router)


# --- static routes ---------------------------------------------------------------------------------------


def add_routes(tx: Tx, cloud: Cloud, router: Row[Any], given: Sequence[Route]) -> Row[Any]:
    wanted = list(router.routes)
    for route in subnet_rules.check_routes(given, cloud[NetworkOptions].max_routes):
        if route not in wanted:
            wanted.append(route)
    return update(tx, cloud, router, {"routes": wanted})


def remove_routes(tx: Tx, cloud: Cloud, router: Row[Any], given: Sequence[Route]) -> Row[Any]:
    gone = subnet_rules.check_routes(given, cloud[NetworkOptions].max_routes)
    return update(tx, cloud, router, {"routes": [route for route in router.routes if route not in gone]})


def check_routes(tx: Tx, cloud: Cloud, router: Row[Any], given: Sequence[Route]) -> list[Route]:
    """Raises BadRequest for a route whose nexthop is the router itself or in none of its subnets."""
    most = cloud[NetworkOptions].max_routes
    if len(given) > most:
        raise invalid(f"Unable to add routes to router {router.id}: the maximum is {most}.", "RoutesExhausted")
    routes = subnet_rules.check_routes(given, most)
    ports = queries.ports_of_device(tx, router.id, *queries.ROUTER_PORTS)
    subnets = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for port in ports for one in port.fixed_ips])
    cidrs = [ipaddress.ip_network(subnet.cidr) for subnet in subnets.values()]
    own = {one["ip_address"] for port in ports for one in port.fixed_ips}
    for route in routes:
        nexthop = ipaddress.ip_address(route["nexthop"])
        if not any(nexthop in cidr for cidr in cidrs):
            raise invalid(
                f"Invalid format for routes: {routes}, the nexthop is not connected with router.", "InvalidRoutes"
            )
        if str(nexthop) in own:
            raise invalid(f"Invalid format for routes: {routes}, the nexthop is used by router.", "InvalidRoutes")
    return routes
