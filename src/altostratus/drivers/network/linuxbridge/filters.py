# SPDX-License-Identifier: Apache-2.0
"""Anti-spoofing and the place of a port in the filters of the hypervisor namespace.

A frame from a guest is checked three times: at prerouting that the sender is who it says (MAC, IPv4,
IPv6, ARP and neighbour advertisements), in `guest_out` that its egress rules allow it, in `guest_in`
that the receiver's ingress rules do. Everything is reached through maps keyed by device, so a new
port adds elements and no rules. Devices called `tap*` that no map knows are dropped: filters fail
closed.

`filter_tables` puts the tables together.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from altostratus.contracts.network import PortSpec, SecurityGroupSpec
from altostratus.drivers.network.linuxbridge.model import ChainPlan
from altostratus.drivers.network.linuxbridge.names import check_mac, check_tap

SET_TYPES = {
    "macs": "type ifname . ether_addr;",
    "src4": "type ifname . ether_addr . ipv4_addr;",
    "src6": "type ifname . ether_addr . ipv6_addr;",
    "nd": "typeof iifname . ether saddr . @th,64,128;",
    "src4n": "type ifname . ether_addr . ipv4_addr; flags interval;",
    "src6n": "type ifname . ether_addr . ipv6_addr; flags interval;",
    "ndn": "typeof iifname . ether saddr . @th,64,128; flags interval;",
    "quarantine": "type ifname;",
}
MAPS = ("guest_from", "guest_out", "guest_in")

# what IPv6 sends before it has an address
_UNSPECIFIED_MAY = "nd-router-solicit, nd-neighbor-solicit, mld-listener-report, mld2-listener-report"

STATIC_CHAINS = {
    "prerouting": ChainPlan(
        hook="type filter hook prerouting priority -290; policy accept;",
        rules=("iifname vmap @guest_from", 'iifname "tap*" drop'),
    ),
    "forward_out": ChainPlan(
        hook="type filter hook forward priority 10; policy accept;", rules=("iifname vmap @guest_out",)
    ),
    "forward_in": ChainPlan(
        hook="type filter hook forward priority 11; policy accept;",
        rules=("oifname @quarantine drop", "oifname vmap @guest_in", 'oifname "tap*" drop'),
    ),
    "spoof": ChainPlan(
        rules=(
            "iifname . ether saddr != @macs drop",
            "ether type vmap { ip : goto spoof4, ip6 : goto spoof6, arp : goto spoof_arp }",
            "drop",
        )
    ),
    "spoof_arp": ChainPlan(
        rules=(
            "iifname . arp saddr ether . arp saddr ip @src4 accept",
            "iifname . arp saddr ether . arp saddr ip @src4n accept",
            "arp saddr ip 0.0.0.0 iifname . arp saddr ether @macs accept",
            "drop",
        )
    ),
    "spoof4": ChainPlan(
        rules=(
            "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
            "udp sport 67 udp dport 68 drop",
            "iifname . ether saddr . ip saddr @src4 accept",
            "iifname . ether saddr . ip saddr @src4n accept",
            "drop",
        )
    ),
    "spoof6": ChainPlan(
        rules=(
            "icmpv6 type { nd-router-advert, nd-redirect } drop",
            "udp sport 547 udp dport 546 drop",
            "icmpv6 type nd-neighbor-advert jump spoof_nd",
            f"ip6 saddr :: icmpv6 type {{ {_UNSPECIFIED_MAY} }} accept",
            "iifname . ether saddr . ip6 saddr @src6 accept",
            "iifname . ether saddr . ip6 saddr @src6n accept",
            "drop",
        )
    ),
    "spoof_nd": ChainPlan(
        rules=(
            "iifname . ether saddr . @th,64,128 @nd return",
            "iifname . ether saddr . @th,64,128 @ndn return",
            "drop",
        )
    ),
    "base_out": ChainPlan(
        rules=(
            "ether type arp accept",
            f"icmpv6 type {{ {_UNSPECIFIED_MAY}, nd-neighbor-advert, mld-listener-query, mld-listener-done }} accept",
            "ether type ip udp sport 68 udp dport 67 accept",
            "ether type ip6 udp sport 546 udp dport 547 accept",
        )
    ),
    "base_in": ChainPlan(
        rules=(
            "ether type arp accept",
            "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
            "ether type ip udp sport 67 udp dport 68 accept",
            "ether type ip6 udp sport 547 udp dport 546 accept",
        )
    ),
}


class PortFilter(NamedTuple):
    """What one port adds: (set name, element) pairs and its place in groups."""

    elements: tuple[tuple[str, str], ...]
    members: tuple[str, ...]


def link_local(mac: str) -> ipaddress.IPv6Address:
    """The IPv6 link-local address that a guest derives from its MAC (RFC 4291, modified EUI-64)."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    eui64 = bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]])
    return ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + eui64)


def _source_elements(tap: str, mac: str, allowed: Iterable[str]) -> list[tuple[str, str]]:
    """Elements that allow `mac` on `tap` to send from addresses and prefixes."""
    start = f'"{tap}" . {mac}'
    own = link_local(mac)
    found = [("macs", start), ("src6", f"{start} . {own}"), ("nd", f"{start} . {int(own):#x}")]
    networks4: list[ipaddress.IPv4Network] = []
    networks6: list[ipaddress.IPv6Network] = []
    for text in allowed:
        network = ipaddress.ip_network(text, strict=False)
        if isinstance(network, ipaddress.IPv4Network):
            networks4.append(network)
        else:
            networks6.append(network)
    # collapsed, because sets with intervals refuse elements that overlap
    for four in ipaddress.collapse_addresses(networks4):
        name = "src4" if four.prefixlen == 32 else "src4n"
        found.append((name, f"{start} . {four.network_address if four.prefixlen == 32 else four}"))
    for six in ipaddress.collapse_addresses(networks6):
        first, last = int(six.network_address), int(six.broadcast_address)
        if first == last:
            found.append(("src6", f"{start} . {six.network_address}"))
            found.append(("nd", f"{start} . {first:#x}"))
        else:
            found.append(("src6n", f"{start} . {six}"))
            found.append(("ndn", f"{start} . {first:#x}-{last:#x}"))
    return found


def group_chain_name(port: PortSpec, groups: Mapping[str, SecurityGroupSpec]) -> str:
    """Name shared by all ports with the same groups: the groups and whether they remember connections."""
    stateful = all(groups[g].stateful for g in port.security_groups if g in groups)
    text = ",".join(sorted(port.security_groups)) + ("+" if stateful else "-")
    return ("pg-" if stateful else "pl-") + hashlib.sha256(text.encode()).hexdigest()[:12]


def plan_port_filter(port: PortSpec, chain: str) -> PortFilter:
    """Elements of a plugged port. Raises ValueError for addresses that are none."""
    tap = check_tap(port.tap)
    addresses = [fixed.ip_address for fixed in port.fixed_ips]
    members = tuple(addresses + [pair.ip_address for pair in port.allowed_address_pairs])
    if port.quarantined:
        blocked = (("guest_from", f'"{tap}" : drop'), ("quarantine", f'"{tap}"'), ("guest_in", f'"{tap}" : drop'))
        return PortFilter(blocked, members)
    if not port.port_security:
        free = (("guest_from", f'"{tap}" : accept'), ("guest_in", f'"{tap}" : accept'))
        return PortFilter(free, ())
    by_mac: dict[str, list[str]] = {check_mac(port.mac): addresses}
    for pair in port.allowed_address_pairs:
        by_mac.setdefault(check_mac(pair.mac_address or port.mac), []).append(pair.ip_address)
    elements = [
        ("guest_from", f'"{tap}" : goto spoof'),
        ("guest_out", f'"{tap}" : goto {chain}-out'),
        ("guest_in", f'"{tap}" : goto {chain}-in'),
    ]
    for mac, allowed in by_mac.items():
        elements += _source_elements(tap, mac, allowed)
    return PortFilter(tuple(elements), members)
