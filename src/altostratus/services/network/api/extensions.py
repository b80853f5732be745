# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/extensions`: what of the API works here. Clients and Tempest decide by it."""

from typing import Any

from altostratus.kernel.policy import ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.network.errors import missing

# alias -> (name, description)
EXTENSIONS: dict[str, tuple[str, str]] = {
    "agent": ("agent", "Agents of the network service."),
    "allowed-address-pairs": ("Allowed Address Pairs", "Further addresses that a port may send from."),
    "availability_zone": ("Availability Zone", "Availability zones of networks and routers."),
    "binding": ("Port Binding", "How ports are plugged on hosts."),
    "default-subnetpools": ("Default Subnetpools", "A pool for subnets that name none."),
    "dns-integration": ("DNS Integration", "Names of ports."),
    "empty-string-filtering": ("Empty String Filtering", "Filters for empty values."),
    "ext-gw-mode": ("L3 Configurable external gateway mode", "Routers with or without address translation."),
    "external-net": ("External network", "Networks that lead outside."),
    "extra_dhcp_opt": ("Extra DHCP options", "DHCP options of single ports."),
    "extraroute": ("Extra Route", "Static routes of routers."),
    "extraroute-atomic": ("Atomically add/remove extra routes", "Static routes added and removed without races."),
    "fip-port-details": ("Floating IP Port Details", "Details of the port that a floating IP leads to."),
    "floating-ip-port-forwarding": ("Floating IP Port Forwarding", "Single ports of a floating IP."),
    "ip-substring-filtering": ("IP address substring filtering", "Ports by parts of their addresses."),
    "ip_allocation": ("IP Allocation", "Whether a port has its addresses yet."),
    "net-mtu": ("Network MTU", "The MTU of networks."),
    "net-mtu-writable": ("Network MTU (writable)", "Networks with an MTU of one's choice."),
    "network-ip-availability": ("Network IP Availability", "How many addresses are left."),
    "network_availability_zone": ("Network Availability Zone", "Availability zones of networks."),
    "pagination": ("Pagination support", "Lists in pages."),
    "port-mac-address-regenerate": ("Port MAC address regenerate", "A new MAC for an existing port."),
    "port-security": ("Port Security", "Ports with or without protection against forged addresses."),
    "project-id": ("project_id field enabled", "Resources show project_id."),
    "provider": ("Provider Network", "How networks are built."),
    "quotas": ("Quota management support", "Limits of projects."),
    "quota_details": ("Quota details management support", "Limits of projects, and what they use."),
    "revision-if-match": ("If-Match constraints based on revision_number", "Changes only of what was seen."),
    "router": ("Neutron L3 Router", "Routers and floating IPs."),
    "router_availability_zone": ("Router Availability Zone", "Availability zones of routers."),
    "security-group": ("security-group", "Security groups."),
    "security-groups-normalized-cidr": ("Normalized CIDR field for security group rules", "CIDRs without host bits."),
    "service-type": ("Neutron Service Type Management", "Providers of services."),
    "sorting": ("Sorting support", "Lists in an order of one's choice."),
    "standard-attr-description": ("standard-attr-description", "Descriptions of resources."),
    "standard-attr-revisions": ("Resource revision numbers", "A number that grows with every change."),
    "standard-attr-tag": ("Tag support for resources with standard attribute", "Tags of resources."),
    "standard-attr-timestamp": ("Resource timestamps", "When resources were made and changed."),
    "stateful-security-group": ("Stateful security group", "Security groups with or without connection tracking."),
    "subnet-external-network": ("Subnet belongs to an external network", "Everybody sees subnets of such networks."),
    "subnet-service-types": ("Subnet service types", "Subnets for certain kinds of ports."),
    "subnet_allocation": ("Subnet Allocation", "Subnets from pools."),
    "tag-ports-during-bulk-creation": ("Tag Ports During Bulk Creation", "New ports with tags."),
    "uplink-status-propagation": ("Port Uplink Status Propagation", "An attribute of ports, kept and shown."),
}
_UPDATED = "2026-01-01T00:00:00-00:00"


def _shown(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": description, "updated": _UPDATED, "links": []}


def list_extensions(call: Call) -> Any:
    """What of the API works here."""
    return Reply(200, {"extensions": [_shown(alias) for alias in EXTENSIONS]})


def show_extension(call: Call) -> Any:
    """Show an extension."""
    alias = call.params["id"]
    if alias not in EXTENSIONS:
        raise missing("extension", alias)
    return Reply(200, {"extension": _shown(alias)})


class ExtensionResource(Resource, path="/extensions", one="extension", many="extensions"):
    """A part of the API."""

    index = Op("GET", "", None, ANY, list_extensions, tx="none")
    show = Op("GET", "/{id}", None, ANY, show_extension, tx="none")
