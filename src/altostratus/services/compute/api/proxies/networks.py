# SPDX-License-Identifier: Apache-2.0
"""`/os-networks`, `/os-tenant-networks` and `/os-floating-ips`, before 2.36, and the actions for floating IPs."""

from typing import Any, Final

from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, OverQuota
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Op, Reply
from altostratus.services.compute.api.servers.child import ServerChild
from altostratus.services.compute.api.servers.schemas import IP
from altostratus.services.compute.api.shared import closed, limited, wrapped
from altostratus.services.network import public as network
from altostratus.services.network.public import proxied

_LAST: Final = "2.35"
_LAST_ACTION: Final = "2.43"
_UNKNOWN: Final = (
    "cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6",
)  # fmt: skip
_UNKNOWN_TO_ADMIN: Final = (
    "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
    "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address",
)  # fmt: skip


def _shown_network(call: Call, row: Any) -> dict[str, Any]:
    """Upstream shows null for all that this API once knew."""
    names = _UNKNOWN + (_UNKNOWN_TO_ADMIN if call.ctx.is_admin else ())
    return {"id": row.id, "label": row.name, **dict.fromkeys(names)}


def _get_network(call: Call) -> Any:
    for row in proxied.list_networks(call.tx, call.ctx, [call.params["id"]]):
        return row
    raise NotFound("Network not found")


def list_networks(call: Call) -> Reply:
    found = proxied.list_networks(call.tx, call.ctx)
    return Reply(200, {"networks": [_shown_network(call, row) for row in found]})


def show_network(call: Call) -> Reply:
    return Reply(200, {"network": _shown_network(call, _get_network(call))})


class Networks(Resource, path="/os-networks"):
    """Networks. Use the network service."""

    index = Op("GET", "", "os_compute_api:os-networks:list", READER, list_networks, until=_LAST)
    show = Op("GET", "/{id}", "os_compute_api:os-networks:show", READER, show_network, until=_LAST)


def _shown_tenant_network(row: Any) -> dict[str, Any]:
    # upstream spells the address that it does not know like this
    return {"id": row.id, "label": row.name, "cidr": "None"}


def list_tenant_networks(call: Call) -> Reply:
    found = proxied.list_networks(call.tx, call.ctx)
    return Reply(200, {"networks": [_shown_tenant_network(row) for row in found]})


def show_tenant_network(call: Call) -> Reply:
    return Reply(200, {"network": _shown_tenant_network(_get_network(call))})


class TenantNetworks(Resource, path="/os-tenant-networks"):
    """Networks of the project. Use the network service."""

    index = Op("GET", "", "os_compute_api:os-tenant-networks:list", READER, list_tenant_networks, until=_LAST)
    show = Op("GET", "/{id}", "os_compute_api:os-tenant-networks:show", READER, show_tenant_network, until=_LAST)


def _shown_fip(found: proxied.FloatingIpInfo) -> dict[str, Any]:
    return {
        "id": found.id,
        "ip": found.address,
        "fixed_ip": found.fixed_address,
        "pool": found.network_name,
        "instance_id": found.server_id,
    }


def list_floating_ips(call: Call) -> Reply:
    found = proxied.list_floating_ips(call.tx, call.ctx)
    return Reply(200, {"floating_ips": [_shown_fip(one) for one in limited(call, found)]})


def show_floating_ip(call: Call) -> Reply:
    return Reply(200, {"floating_ip": _shown_fip(proxied.get_floating_ip(call.tx, call.ctx, call.params["id"]))})


def create_floating_ip(call: Call) -> Reply:
    """Take an address of the pool, which is the name of an external network."""
    pool = call.body.get("pool") if isinstance(call.body, dict) else None
    try:
        made = proxied.allocate_floating_ip(call.tx, call.cloud, call.ctx, pool)
    except OverQuota as error:
        raise Forbidden(str(error)) from None
    return Reply(200, {"floating_ip": _shown_fip(made)})


def delete_floating_ip(call: Call) -> Reply:
    proxied.release_floating_ip(call.tx, call.cloud, call.ctx, call.params["id"])
    return Reply(202)


_RULE: Final = "os_compute_api:os-floating-ips"


class FloatingIps(Resource, path="/os-floating-ips"):
    """Floating IPs. Use the network service."""

    index = Op("GET", "", f"{_RULE}:list", READER, list_floating_ips, until=_LAST)
    show = Op("GET", "/{id}", f"{_RULE}:show", READER, show_floating_ip, until=_LAST)
    create = Op("POST", "", f"{_RULE}:create", MEMBER, create_floating_ip, until=_LAST)
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", MEMBER, delete_floating_ip, until=_LAST)


def list_pools(call: Call) -> Reply:
    return Reply(200, {"floating_ip_pools": [{"name": row.name or row.id} for row in proxied.list_pools(call.tx)]})


class FloatingIpPools(Resource, path="/os-floating-ip-pools"):
    """External networks. Use the network service."""

    index = Op("GET", "", "os_compute_api:os-floating-ip-pools", READER, list_pools, until=_LAST)


def add_floating_ip(call: Call) -> Reply:
    """Lead a floating IP to the server: to the address named, or its first one."""
    given = call.body
    found = proxied.floating_ip_of_address(call.tx, call.ctx, given["address"])
    ports = network.ports_of_servers(call.tx, [call.row.id]).get(call.row.id, [])
    addresses = [(port.id, ip) for port in ports for ip, _subnet, version in port.fixed_ips if version == 4]
    wanted = given.get("fixed_address")
    if wanted is not None:
        addresses = [one for one in addresses if one[1] == wanted]
    if not addresses:
        raise BadRequest(
            f"Specified fixed address {wanted} is not of this server." if wanted
            else "No fixed IPv4 addresses associated to instance: attach an interface first."
        )  # fmt: skip
    port_id, fixed = addresses[0]
    try:
        proxied.lead_floating_ip(call.tx, call.cloud, found, port_id, fixed)
    except (NotFound, Conflict) as error:
        raise BadRequest(f"Unable to associate floating IP {found.address}: {error}") from None
    return Reply(202)


def remove_floating_ip(call: Call) -> Reply:
    found = proxied.floating_ip_of_address(call.tx, call.ctx, call.body["address"])
    if found.server_id != call.row.id:
        raise Conflict(f"Floating IP {found.address} is not associated with instance {call.row.id}.")
    proxied.lead_floating_ip(call.tx, call.cloud, found, None)
    return Reply(202)


def add_fixed_ip(call: Call) -> Reply:
    """Another address for the server's port in a network."""
    wanted = call.body["networkId"]
    ports = network.ports_of_servers(call.tx, [call.row.id]).get(call.row.id, [])
    port = next((port for port in ports if port.network_id == wanted), None)
    if port is None:
        raise BadRequest(f"Instance {call.row.id} has no port in network {wanted}: attach an interface instead.")
    try:
        proxied.add_fixed_ip(call.tx, call.cloud, port.id)
    except Conflict as error:
        raise BadRequest(str(error)) from None
    return Reply(202)


def remove_fixed_ip(call: Call) -> Reply:
    address = call.body["address"]
    ports = network.ports_of_servers(call.tx, [call.row.id]).get(call.row.id, [])
    port = next((port for port in ports if address in [ip for ip, _subnet, _version in port.fixed_ips]), None)
    if port is None:
        raise BadRequest(f"Fixed IP {address} not found for instance {call.row.id}.")
    try:
        proxied.remove_fixed_ip(call.tx, call.cloud, port.id, address)
    except Conflict as error:
        raise BadRequest(str(error)) from None
    return Reply(202)


_MULTINIC: Final = "os_compute_api:os-multinic"


class ServerAddresses(ServerChild, path="/servers"):
    """Fixed and floating IPs of a server. Use the network service."""

    add_fixed = Action(
        "addFixedIp", f"{_MULTINIC}:add", MEMBER, add_fixed_ip, until=_LAST_ACTION,
        body=wrapped("addFixedIp", closed({"networkId": {"type": "string", "minLength": 1}}, "networkId")),
    )  # fmt: skip
    remove_fixed = Action(
        "removeFixedIp", f"{_MULTINIC}:remove", MEMBER, remove_fixed_ip, until=_LAST_ACTION,
        body=wrapped("removeFixedIp", closed({"address": IP}, "address")),
    )  # fmt: skip

    add = Action(
        "addFloatingIp", f"{_RULE}:add", MEMBER, add_floating_ip, until=_LAST_ACTION,
        body=wrapped("addFloatingIp", closed({"address": IP, "fixed_address": IP}, "address")),
    )  # fmt: skip
    remove = Action(
        "removeFloatingIp", f"{_RULE}:remove", MEMBER, remove_floating_ip, until=_LAST_ACTION,
        body=wrapped("removeFloatingIp", closed({"address": IP}, "address")),
    )  # fmt: skip
