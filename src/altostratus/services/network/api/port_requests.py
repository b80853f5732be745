# SPDX-License-Identifier: Apache-2.0
"""From a port's request to its columns: who may set what, and whether it makes sense."""

import ipaddress
from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.errors import Conflict
from altostratus.kernel.resource.call import Call
from altostratus.services.network.api.networks import target_in
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import in_use, invalid
from altostratus.services.network.logic import addresses, port_options, queries, security_groups
from altostratus.services.network.models import Router

# body member -> the end of its policy rule
_RULES = {
    "mac_address": "mac_address",
    "fixed_ips": "fixed_ips",
    "port_security_enabled": "port_security_enabled",
    "allowed_address_pairs": "allowed_address_pairs",
    "host_id": "binding:host_id",
    "profile": "binding:profile",
    "vnic_type": "binding:vnic_type",
}
_BINDING = ("host_id", "profile")


def for_create(call: Call, network: Row[Any], project_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Columns of a new port. Raises Forbidden, BadRequest, Conflict or NotFound."""
    given = {name: value for name, value in body.items() if value is not None}
    _demand(call, "create_port", network, project_id, given)
    return _checked(call, given, project_id, {"device_id": "", "device_owner": ""}, mac="")


def for_update(call: Call, network: Row[Any], port: Row[Any], body: dict[str, Any]) -> dict[str, Any]:
    """Changed columns of a port; the same refusals."""
    given = {name: value for name, value in body.items() if not _is_same(port, name, value)}
    _check_owner(port, given)
    _demand(call, "update_port", network, port.project_id, given)
    empty: dict[str, Any] = {
        "fixed_ips": [], "allowed_address_pairs": [], "security_groups": [], "profile": {}, "extra_dhcp_opts": [],
    }  # fmt: skip
    values = {name: empty.get(name, value) if value is None else value for name, value in given.items()}
    return _checked(call, values, port.project_id, port._mapping, mac=port.mac_address)


def _check_owner(port: Row[Any], given: dict[str, Any]) -> None:
    service_port = port.device_owner in (*queries.ROUTER_PORTS, queries.FLOATING_IP)
    if service_port and given.keys() & {"device_id", "device_owner"}:
        raise in_use(
            f"Port {port.id} belongs to {port.device_id} ({port.device_owner}) and cannot become another device's. "
            "Remove the router interface, gateway or floating IP instead.",
            "ServicePortInUse",
        )


def _is_same(port: Row[Any], name: str, value: Any) -> bool:
    """Clients send back what they read; what does not change needs no right."""
    return bool(port._mapping[name] == value) and name not in ("fixed_ips", "security_groups")


def _demand(call: Call, rule: str, network: Row[Any], project_id: str, given: dict[str, Any]) -> None:
    owner = given.get("device_owner", "")
    target = target_in(call, network, project_id, device_owner=owner)
    if owner:
        call.demand(f"{rule}:device_owner", target)
    for name, end in _RULES.items():
        if name in given and not (name in _BINDING and not given[name] and rule == "create_port"):
            call.demand(f"{rule}:{end}", target)
    for one in given.get("fixed_ips") or []:
        for part in ("ip_address", "subnet_id"):
            if one.get(part):
                call.demand(f"{rule}:fixed_ips:{part}", target)


def _checked(call: Call, values: dict[str, Any], project_id: str, before: Any, *, mac: str) -> dict[str, Any]:
    options = call.cloud[NetworkOptions]
    if "mac_address" in values and values["mac_address"] is not None:
        mac = values["mac_address"] = addresses.check_mac(values["mac_address"])
    if "fixed_ips" in values:
        values["fixed_ips"] = _check_fixed_ips(values["fixed_ips"], options.max_fixed_ips_per_port)
    if "security_groups" in values:
        values["security_groups"] = security_groups.check_usable(
            call.tx, values["security_groups"], project_id, is_admin=call.ctx.is_admin
        )
    if values.get("allowed_address_pairs"):
        if not mac:
            mac = values["mac_address"] = addresses.new_mac(call.tx, "", options.base_mac)
        values["allowed_address_pairs"] = port_options.check_pairs(
            values["allowed_address_pairs"], options.max_allowed_address_pairs, mac
        )
    if "extra_dhcp_opts" in values:
        values["extra_dhcp_opts"] = port_options.merge_dhcp_options(
            before.get("extra_dhcp_opts") or [], values["extra_dhcp_opts"]
        )
    if "dns_name" in values:
        values["dns_name"] = port_options.check_dns_name(values["dns_name"])
    owner = values.get("device_owner", before["device_owner"])
    if owner in queries.ROUTER_PORTS and ("device_owner" in values or "device_id" in values):
        _check_router(call, str(values.get("device_id", before["device_id"])))
    return values


def _check_fixed_ips(wanted: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    if len(wanted) > most:
        raise invalid(f"Exceeded maximum amount of fixed ips per port: {most}.")
    seen: set[str] = set()
    cleaned = []
    for one in wanted:
        found = {name: value for name, value in one.items() if value}
        if "ip_address" in found:
            try:
                found["ip_address"] = str(ipaddress.ip_address(found["ip_address"]))
            except ValueError:
                raise invalid(
                    f"Invalid input for fixed_ips. Reason: '{found['ip_address']}' is not a valid IP address."
                ) from None
            if found["ip_address"] in seen:
                raise invalid(f"Invalid input for fixed_ips. Reason: Duplicate IP address '{found['ip_address']}'.")
            seen.add(found["ip_address"])
        cleaned.append(found)
    return cleaned


def _check_router(call: Call, router_id: str) -> None:
    """A port can be made a router's only by who owns the router."""
    router = call.tx.find(Router, router_id)
    if router is None or not (call.ctx.is_admin or router.project_id == call.ctx.project_id):
        raise Conflict(
            f"The following device_id {router_id} is not owned by your tenant or matches another tenants router.",
            kind="DeviceIDNotOwnedByTenant",
        )
