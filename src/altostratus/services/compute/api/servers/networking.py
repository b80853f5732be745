# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/ips`, `os-interface` and security groups: how a server is connected."""

from typing import Any

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action, Op, Reply
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.servers.power import start_job
from altostratus.services.compute.api.servers.schemas import IP, TAG
from altostratus.services.compute.api.servers.view import address_book
from altostratus.services.compute.api.shared import UUID, at, closed, wrapped
from altostratus.services.compute.jobs.interfaces import ATTACH_INTERFACE, DETACH_INTERFACE
from altostratus.services.compute.logic import servers
from altostratus.services.network import public as network
from altostratus.services.network.public import PortInfo, RequestedNic

_PLUGGABLE = ("active", "paused", "stopped")
_FIXED_IPS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": closed({"ip_address": IP, "subnet_id": UUID}, "ip_address"),
}
_INTERFACE = {"net_id": UUID, "port_id": UUID, "fixed_ips": _FIXED_IPS}
_GROUP = closed({"name": {"type": "string", "minLength": 1, "maxLength": 255}}, "name")


def _attach_body(*, tag: bool) -> dict[str, Any]:
    members = _INTERFACE | ({"tag": TAG} if tag else {})
    return closed({"interfaceAttachment": closed(members)})


def _ports(call: Call) -> list[PortInfo]:
    return network.ports_of_servers(call.tx, [call.row.id]).get(call.row.id, [])


def list_addresses(call: Call) -> Reply:
    """Addresses by network."""
    return Reply(200, {"addresses": _plain_book(_ports(call))})


def _plain_book(ports: list[PortInfo]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"version": line["version"], "addr": line["addr"]} for line in lines]
        for name, lines in address_book(ports).items()
    }


def show_addresses(call: Call) -> Reply:
    label = call.params["label"]
    book = _plain_book(_ports(call))
    if label not in book:
        raise NotFound(f"Instance is not a member of specified network {label!r}.")
    return Reply(200, {label: book[label]})


def _interface(port: PortInfo, tags: dict[str, str | None] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": subnet_id, "ip_address": ip} for ip, subnet_id, _version in port.fixed_ips],
    }
    return shown if tags is None else {**shown, "tag": tags.get(port.id)}


def _tags(call: Call) -> dict[str, str | None] | None:
    if not at(call, 70):
        return None
    return {one.get("bound", ""): one.get("tag") for one in call.row.requested_nics}


def list_interfaces(call: Call) -> Reply:
    """Network cards of the server."""
    tags = _tags(call)
    return Reply(200, {"interfaceAttachments": [_interface(port, tags) for port in _ports(call)]})


def _get_port(call: Call) -> PortInfo:
    port_id = call.params["port_id"]
    for port in _ports(call):
        if port.id == port_id:
            return port
    raise NotFound(f"Instance {call.row.id} does not have a port with id {port_id}.")


def show_interface(call: Call) -> Reply:
    return Reply(200, {"interfaceAttachment": _interface(_get_port(call), _tags(call))})


def attach_interface(call: Call) -> Reply:
    """Another network card: on a network, or with a port that exists."""
    given = (call.body or {}).get("interfaceAttachment") or {}
    port_id, network_id = given.get("port_id"), given.get("net_id")
    if port_id and network_id:
        raise BadRequest("Must not input both network_id and port_id")
    fixed = (given.get("fixed_ips") or [{}])[0].get("ip_address")
    if fixed and not network_id:
        raise BadRequest("Must input network_id when request IP address")
    demand(call, "attach_interface", _PLUGGABLE)
    row = call.row
    requested = [RequestedNic(port_id=port_id, network_id=network_id, fixed_ip=fixed, tag=given.get("tag"))]
    checked = network.validate_requested(call.tx, call.ctx, requested if port_id or network_id else None)
    ports = network.create_or_bind_ports(
        call.tx,
        call.cloud,
        row.project_id,
        row.user_id,
        server_id=row.id,
        server_name=row.hostname,
        host=row.host,
        availability_zone=row.availability_zone or "",
        requested=checked[:1],
        security_groups=["default"],
    )
    port = ports[0]
    nics = [
        *row.requested_nics,
        {
            "port_id": port_id,
            "network_id": port.network_id,
            "fixed_ip": fixed,
            "tag": given.get("tag"),
            "bound": port.id,
        },
    ]
    servers.touch(call.tx, row.id, requested_nics=nics)
    start_job(call, ATTACH_INTERFACE, {"port_id": port.id})
    tags = {port.id: given.get("tag")} if at(call, 70) else None
    return Reply(200, {"interfaceAttachment": _interface(port, tags)})


def detach_interface(call: Call) -> Reply:
    """Take the card out; a port that compute made goes with it."""
    port = _get_port(call)
    demand(call, "detach_interface", _PLUGGABLE)
    start_job(call, DETACH_INTERFACE, {"port_id": port.id})
    return Reply(202)


def list_groups(call: Call) -> Reply:
    """Security groups of the server's ports."""
    found = network.security_groups_of_servers(call.tx, [call.row.id]).get(call.row.id, [])
    shown = [
        {"id": group_id, "name": name, "description": "", "tenant_id": call.row.project_id, "rules": []}
        for group_id, name in found
    ]
    return Reply(200, {"security_groups": shown})


def add_group(call: Call) -> None:
    """Put the server's ports into a security group."""
    demand(call, "addSecurityGroup", None, any_task=True)
    network.add_security_group(call.tx, call.cloud, call.ctx, call.row.id, call.body["name"])


def remove_group(call: Call) -> None:
    """Take the server's ports out of a security group."""
    demand(call, "removeSecurityGroup", None, any_task=True)
    network.remove_security_group(call.tx, call.cloud, call.ctx, call.row.id, call.body["name"])


class ServerNetworking(ServerChild, path="/servers"):
    """Addresses, network cards and security groups."""

    addresses = Op("GET", "/{id}/ips", "os_compute_api:ips:index", READER, list_addresses)
    label = Op("GET", "/{id}/ips/{label}", "os_compute_api:ips:show", READER, show_addresses)
    index = Op("GET", "/{id}/os-interface", "os_compute_api:os-attach-interfaces:list", READER, list_interfaces)
    show = Op("GET", "/{id}/os-interface/{port_id}", "os_compute_api:os-attach-interfaces:show", READER, show_interface)
    attach = Op(
        "POST", "/{id}/os-interface", "os_compute_api:os-attach-interfaces:create", MEMBER, attach_interface,
        body=_attach_body(tag=False), until="2.48",
    )  # fmt: skip
    attach_tagged = Op(
        "POST", "/{id}/os-interface", "os_compute_api:os-attach-interfaces:create", MEMBER, attach_interface,
        body=_attach_body(tag=True), since="2.49",
    )  # fmt: skip
    detach = Op(
        "DELETE", "/{id}/os-interface/{port_id}", "os_compute_api:os-attach-interfaces:delete", MEMBER, detach_interface
    )
    groups = Op("GET", "/{id}/os-security-groups", "os_compute_api:os-security-groups:list", READER, list_groups)
    add_group = Action(
        "addSecurityGroup", "os_compute_api:os-security-groups:add", MEMBER, add_group,
        body=wrapped("addSecurityGroup", _GROUP),
    )  # fmt: skip
    remove_group = Action(
        "removeSecurityGroup", "os_compute_api:os-security-groups:remove", MEMBER, remove_group,
        body=wrapped("removeSecurityGroup", _GROUP),
    )  # fmt: skip
