# SPDX-License-Identifier: Apache-2.0
"""What a subnet may look like: pure checks of its addresses, pools, gateway and IPv6 modes."""

import ipaddress
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.errors import Conflict
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic.addresses import AUTO_MODES

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Pool = dict[str, str]

V6_MODES = ("dhcpv6-stateful", "dhcpv6-stateless", "slaac")


def parse_cidr(text: str) -> IpNetwork:
    """Raises BadRequest, also for host bits, for which it names the right CIDR."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise invalid(f"Invalid input for cidr. Reason: '{text}' is not a valid IP subnet.") from None
    if str(network) != text and text != network.exploded:
        raise invalid(
            f"Invalid input for cidr. Reason: '{text}' isn't a recognized IP subnet cidr, '{network}' is recommended."
        )
    if network.prefixlen == 0:
        raise invalid("Invalid input for cidr. Reason: 0 is not allowed as CIDR prefix length.")
    return network


def check_version(network: IpNetwork, ip_version: int) -> None:
    if network.version != ip_version:
        raise invalid(
            f"Invalid input for operation: cidr {network} does not match the ip_version {ip_version}.",
        )


def check_dhcp_network(network: IpNetwork, *, enable_dhcp: bool) -> None:
    if not enable_dhcp:
        return
    for wrong, word in ((network.is_multicast, "Multicast"), (network.is_loopback, "Loopback")):
        if wrong:
            raise invalid(f"Invalid input for operation: {word} IP subnet is not supported if enable_dhcp is True.")


def check_modes(values: Mapping[str, Any], network: IpNetwork) -> None:
    """IPv6 router advertisement and address modes."""
    ra, address = values.get("ipv6_ra_mode"), values.get("ipv6_address_mode")
    if not ra and not address:
        return
    if network.version == 4:
        name = "ipv6_ra_mode" if ra else "ipv6_address_mode"
        raise invalid(f"Invalid input for operation: {name} is not valid when ip_version is 4.")
    if not values.get("enable_dhcp", True):
        raise invalid(
            "Invalid input for operation: ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to "
            "False."
        )
    if ra and address and ra != address:
        raise invalid(
            f"Invalid input for operation: ipv6_ra_mode set to '{ra}' with ipv6_address_mode set to '{address}' is not "
            "valid. If both attributes are set, they must be the same value."
        )
    if address in AUTO_MODES and network.prefixlen != 64:
        raise invalid(
            f"Invalid input for operation: Invalid CIDR {network} for IPv6 address mode. OpenStack uses the EUI-64 "
            "address format, which requires the prefix to be /64."
        )


def check_overlap(network: IpNetwork, others: Sequence[Row[Any]], network_id: str) -> None:
    for other in others:
        taken = ipaddress.ip_network(other.cidr)
        if taken.version == network.version and taken.overlaps(network):
            raise invalid(
                f"Invalid input for operation: Requested subnet with cidr: {network} for network: {network_id} "
                f"overlaps with another subnet: {other.cidr} ({other.id})."
            )


def default_gateway(network: IpNetwork) -> str:
    first = network.network_address
    return str(first if network.num_addresses <= 2 and network.version == 4 else first + 1)


def check_gateway(network: IpNetwork, gateway: str) -> str:
    """The gateway's address in its shortest spelling. Addresses outside the subnet are allowed."""
    address = parse_ip(gateway, "gateway_ip")
    if address.version != network.version:
        raise invalid(
            f"Invalid input for operation: gateway_ip '{gateway}' does not match the ip_version '{network.version}'."
        )
    ends = (network.network_address, network.broadcast_address if network.version == 4 else network.network_address)
    if network.num_addresses > 2 and address in ends:
        raise invalid(
            f"Invalid input for operation: Gateway is not valid on subnet: {gateway} is the network or broadcast "
            f"address of {network}."
        )
    return str(address)


def usable_range(network: IpNetwork) -> tuple[int, int]:
    """First and last address that ports may have, as numbers."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.num_addresses <= 2:
        return first, last
    return first + 1, last - 1 if network.version == 4 else last


def default_pools(network: IpNetwork, gateway: str | None) -> list[Pool]:
    """All usable addresses but the gateway."""
    first, last = usable_range(network)
    kind = type(network.network_address)
    if gateway is None or ipaddress.ip_address(gateway) not in network:
        pairs = [(first, last)]
    else:
        middle = int(ipaddress.ip_address(gateway))
        pairs = [(first, middle - 1), (middle + 1, last)]
    return [{"start": str(kind(start)), "end": str(kind(end))} for start, end in pairs if start <= end]


def check_pools(network: IpNetwork, pools: Sequence[Mapping[str, str]], gateway: str | None) -> list[Pool]:
    """The pools in order and shortest spelling. Raises BadRequest or Conflict."""
    first, last = usable_range(network)
    found: list[tuple[Ip, Ip]] = []
    for pool in pools:
        try:
            start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        except (ValueError, KeyError):
            raise invalid(f"The allocation pool {dict(pool)} is not valid.", "InvalidAllocationPool") from None
        if start.version != network.version or end.version != network.version or int(start) > int(end):
            raise invalid(f"The allocation pool {start}-{end} is not valid for {network}.", "InvalidAllocationPool")
        if int(start) < first or int(end) > last:
            raise invalid(
                f"The allocation pool {start}-{end} spans beyond the subnet cidr {network}.",
                "OutOfBoundsAllocationPool",
            )
        if gateway is not None and int(start) <= int(ipaddress.ip_address(gateway)) <= int(end):
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {start}-{end}.",
                kind="GatewayConflictWithAllocationPools",
            )
        found.append((start, end))
    found.sort(key=lambda pair: int(pair[0]))
    for before, after in pairwise(found):
        if int(after[0]) <= int(before[1]):
            raise Conflict(
                f"Found overlapping allocation pools: {before[0]}-{before[1]} and {after[0]}-{after[1]} for subnet "
                f"{network}.",
                kind="OverlappingAllocationPools",
            )
    return [{"start": str(start), "end": str(end)} for start, end in found]


def check_name_servers(servers: Sequence[str], most: int) -> list[str]:
    if len(servers) > most:
        raise invalid(f"The number of DNS nameservers exceeds the maximum {most}.", "DNSNameServersExhausted")
    if len(set(servers)) != len(servers):
        raise invalid(f"Invalid input for dns_nameservers. Reason: Duplicate nameserver in {list(servers)}.")
    return [str(parse_ip(server, "dns_nameservers")) for server in servers]


def check_routes(routes: Sequence[Mapping[str, str]], most: int, ip_version: int | None = None) -> list[dict[str, str]]:
    """Host routes of a subnet, or static routes of a router. Raises BadRequest."""
    if len(routes) > most:
        raise invalid(f"The number of host routes exceeds the maximum {most}.", "HostRoutesExhausted")
    found = []
    for route in routes:
        try:
            destination = ipaddress.ip_network(route["destination"], strict=False)
        except ValueError:
            raise invalid(f"Invalid input for routes. Reason: '{route['destination']}' is not a valid CIDR.") from None
        nexthop = parse_ip(route["nexthop"], "routes")
        if nexthop.version != destination.version or (ip_version and nexthop.version != ip_version):
            raise invalid(
                f"Invalid input for operation: the route to {destination} and its nexthop {nexthop} must be of the "
                "same IP version as the subnet."
            )
        one = {"destination": str(destination), "nexthop": str(nexthop)}
        if one in found:
            raise invalid(f"Invalid input for routes. Reason: Duplicate items in the list: '{one}'.")
        found.append(one)
    return found


def parse_ip(text: str, where: str) -> Ip:
    """Raises BadRequest that names the member."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise invalid(f"Invalid input for {where}. Reason: '{text}' is not a valid IP address.") from None
