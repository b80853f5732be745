# SPDX-License-Identifier: Apache-2.0
"""What dnsmasq is told: DHCP and DNS of a network, router advertisements of a router.

Pure text. Addresses are static per MAC and live in files that dnsmasq reads again on a signal; only
ranges and interfaces need a restart. Without DNS servers of its own a subnet is given the DHCP
address, where the names of its ports are known.
"""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from altostratus.contracts.network import NetworkSpec, PortSpec, RouterSpec, SubnetSpec
from altostratus.drivers.network.linuxbridge.model import DnsmasqPlan, Owner
from altostratus.drivers.network.linuxbridge.names import (
    METADATA_ADDRESS,
    check_address,
    check_cidr,
    check_mac,
    dhcp_netns,
    domain_text,
    hostname_text,
    router_netns,
    short,
)

_OPTION_NAME = re.compile(r"(tag:!?[A-Za-z0-9_-]{1,64},){0,8}[a-z0-9-]{1,64}\Z")
_OPTION_VALUE = re.compile(r"[^\x00-\x1f\x7f]{0,255}\Z")

_ROUTER_FLAGS = {"dhcpv6-stateful": "static", "dhcpv6-stateless": "ra-stateless"}


class PortDhcp(NamedTuple):
    """Lines of one port: reservations, DNS names, extra options; and address -> MAC of its leases.

    `refused` is a sentence about options that cannot be sent, empty when all can.
    """

    hosts: str
    names: str
    options: str
    leases: dict[str, str]
    refused: str = ""


class Surroundings(NamedTuple):
    """What other rows say about a network: where routers have addresses, and who announces IPv6."""

    router_addresses: frozenset[str]
    router_advertises: bool
    domain: str
    lease_time_s: int


def dhcp_device(network: NetworkSpec) -> str:
    """Name of the DHCP device inside its namespace."""
    return "ns-" + short(network.dhcp.port_id) if network.dhcp else ""


def plan_port_lines(port: PortSpec, network: NetworkSpec, domain: str) -> PortDhcp:
    """What DHCP of `network` knows of a port. Raises ValueError for a malformed address or MAC."""
    mac = check_mac(port.mac)
    served = {subnet.id: subnet for subnet in network.subnets if subnet.enable_dhcp}
    tag = f"port-{short(port.id)}" if port.dhcp_options else ""
    hosts, names, leases = [], [], {}
    for fixed in port.fixed_ips:
        address = check_address(fixed.ip_address)
        name = hostname_text(port.hostname, address)
        names.append(f"{address} {name}.{domain} {name}\n")
        subnet = served.get(fixed.subnet_id)
        if subnet is None or (subnet.ip_version == 6 and subnet.address_mode != "dhcpv6-stateful"):
            continue
        shown = f"[{address}]" if subnet.ip_version == 6 else address
        parts = [mac, f"set:{tag}" if tag else "", shown, name]
        hosts.append(",".join(part for part in parts if part) + "\n")
        leases[address] = mac
    options, refused = [], []
    for name, value in sorted(port.dhcp_options.items()):
        if _OPTION_NAME.match(name) and _OPTION_VALUE.match(value):
            options.append(_extra_option(tag, name, value))
        else:
            refused.append(name[:64])
    sentence = f"DHCP cannot send these options, their name or value is malformed: {refused}." if refused else ""
    return PortDhcp("".join(hosts), "".join(names), "".join(options), leases, sentence)


def _extra_option(tag: str, name: str, value: str) -> str:
    """`name` is a name, a number, or one of them behind conditions such as `tag:!ipxe,`."""
    conditions, _, option = name.rpartition(",")
    shown = option if option.isdecimal() else f"option:{option}"
    return ",".join(part for part in (f"tag:{tag}", conditions, shown, value) if part) + "\n"


def plan_dhcp(
    network: NetworkSpec, ports: Iterable[PortDhcp], around: Surroundings, directory: Path
) -> DnsmasqPlan | None:
    """The dnsmasq of a network; None when no subnet wants DHCP. Raises ValueError."""
    if network.dhcp is None or not any(subnet.enable_dhcp for subnet in network.subnets):
        return None
    device = dhcp_device(network)
    addresses = sorted(f"{check_address(f.ip_address)}/{f.prefix_length}" for f in network.dhcp.fixed_ips)
    ranges, advertised, options = [], False, [f"option:mtu,{network.mtu}"]
    for subnet in network.subnets:
        if subnet.enable_dhcp:
            ranges += _ranges(subnet, around)
            advertised = advertised or (subnet.ip_version == 6 and subnet.ra_mode is not None)
            options += _subnet_options(network, subnet, around)
    conf = [
        f"# addresses: {' '.join(addresses)}",
        *_common_conf(directory, device),
        "port=53",
        f"domain={around.domain}",
        f"local=/{around.domain}/",
        "dhcp-authoritative",
        "no-ping",
        "dhcp-lease-max=100000",
        *ranges,
    ]
    if advertised and not around.router_advertises:
        # nobody routes here: addresses by advertisement yes, a default route no (lifetime 0)
        conf += ["enable-ra", f"ra-param={device},mtu:{network.mtu},60,0"]
    lines = list(ports)
    leases: dict[str, str] = {}
    for port in lines:
        leases.update(port.leases)
    return DnsmasqPlan(
        key=f"dhcp-{network.id}",
        netns=dhcp_netns(network.id),
        owner=("network", network.id),
        conf="\n".join(conf) + "\n",
        files={
            "hosts": "".join(port.hosts for port in lines),
            "names": "".join(port.names for port in lines),
            "options": "\n".join(options) + "\n" + "".join(port.options for port in lines),
        },
        leases=leases,
    )


def _common_conf(directory: Path, *devices: str) -> list[str]:
    return [
        "no-hosts",
        "no-resolv",
        "bind-interfaces",
        "except-interface=lo",
        *(f"interface={device}" for device in devices),
        f"dhcp-hostsfile={directory / 'hosts'}",
        f"dhcp-optsfile={directory / 'options'}",
        f"addn-hosts={directory / 'names'}",
        f"dhcp-leasefile={directory / 'leases'}",
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
    ]


def _tag(subnet: SubnetSpec) -> str:
    return f"subnet-{short(subnet.id)}"


def _ranges(subnet: SubnetSpec, around: Surroundings) -> list[str]:
    network = ipaddress.ip_network(check_cidr(subnet.cidr))
    start = f"dhcp-range=set:{_tag(subnet)},{network.network_address}"
    if network.version == 4:
        return [f"{start},static,{network.netmask},{around.lease_time_s}s"]
    modes = (subnet.ra_mode, subnet.address_mode)
    if "dhcpv6-stateful" in modes or "dhcpv6-stateless" in modes:
        flags = "ra-stateless" if subnet.ra_mode == "dhcpv6-stateless" and not around.router_advertises else "static"
        return [f"{start},{flags},{network.prefixlen},{around.lease_time_s}s"]
    if subnet.ra_mode == "slaac" and not around.router_advertises:
        return [f"{start},ra-only,{network.prefixlen},{around.lease_time_s}s"]
    return []


def _subnet_options(network: NetworkSpec, subnet: SubnetSpec, around: Surroundings) -> list[str]:
    cidr = ipaddress.ip_network(check_cidr(subnet.cidr))
    fixed_ips = network.dhcp.fixed_ips if network.dhcp else []
    own = next((check_address(fixed.ip_address) for fixed in fixed_ips if fixed.subnet_id == subnet.id), None)
    servers = [check_address(server) for server in subnet.dns_nameservers] or ([own] if own else [])
    tag = f"tag:{_tag(subnet)}"
    if cidr.version == 6:
        shown = ",".join(f"[{server}]" for server in servers if ":" in server)
        domain = f"{tag},option6:domain-search,{around.domain}"
        return [*([f"{tag},option6:dns-server,{shown}"] if shown else []), domain]
    shown = ",".join(server for server in servers if ":" not in server)
    gateway = check_address(subnet.gateway_ip) if subnet.gateway_ip else None
    routes = _routes(network, subnet, gateway, gateway if gateway in around.router_addresses else own)
    return [
        *([f"{tag},option:dns-server,{shown}"] if shown else []),
        f"{tag},option:router,{gateway}" if gateway else f"{tag},option:router",
        *([f"{tag},option:classless-static-route,{routes}", f"{tag},249,{routes}"] if routes else []),
    ]


def _routes(network: NetworkSpec, subnet: SubnetSpec, gateway: str | None, metadata_via: str | None) -> str:
    """Classless routes. A client that gets them ignores the router option, so the default is among them."""
    pairs: list[str] = []
    given = {check_cidr(route.destination) for route in subnet.host_routes}
    if metadata_via and f"{METADATA_ADDRESS}/32" not in given:
        pairs += [f"{METADATA_ADDRESS}/32", metadata_via]
    for other in network.subnets:
        if other.id != subnet.id and other.ip_version == 4 and check_cidr(other.cidr) not in given:
            pairs += [check_cidr(other.cidr), "0.0.0.0"]
    for route in subnet.host_routes:
        if ":" not in route.destination:
            pairs += [check_cidr(route.destination), check_address(route.nexthop)]
    if gateway and "0.0.0.0/0" not in given:
        pairs += ["0.0.0.0/0", gateway]
    return ",".join(pairs)


def plan_router_advertisements(router: RouterSpec, directory: Path) -> DnsmasqPlan | None:
    """A dnsmasq that announces a router's IPv6 subnets; None when there are none.

    It never answers DHCP: the filter of the router namespace keeps requests from it.
    """
    ranges, devices = [], []
    for interface in router.interfaces:
        announced = [subnet for subnet in interface.ra_subnets if subnet.ra_mode is not None]
        if not announced:
            continue
        device = "qr-" + short(interface.port_id)
        devices.append(device)
        ranges.append(f"ra-param={device},mtu:{int(interface.mtu)},60,1800")
        for subnet in announced:
            network = ipaddress.ip_network(check_cidr(subnet.cidr))
            flags = _ROUTER_FLAGS.get(subnet.ra_mode or "", "ra-only")
            ranges.append(f"dhcp-range=set:{_tag(subnet)},{network.network_address},{flags},{network.prefixlen},86400s")
            servers = ",".join(f"[{check_address(s)}]" for s in subnet.dns_nameservers if ":" in s)
            if servers:
                ranges.append(f"dhcp-option=tag:{_tag(subnet)},option6:dns-server,{servers}")
    if not devices:
        return None
    conf = [*_common_conf(directory, *devices), "port=0", "enable-ra", *ranges]
    owner: Owner = ("router", router.id)
    files = {"hosts": "", "names": "", "options": ""}
    return DnsmasqPlan(
        key=f"ra-{router.id}", netns=router_netns(router.id), owner=owner, conf="\n".join(conf) + "\n", files=files
    )


def network_domain(network: NetworkSpec, fallback: str) -> str:
    return domain_text(network.dns_domain, fallback)
