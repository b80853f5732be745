# SPDX-License-Identifier: Apache-2.0
"""Security group rules as nftables text.

Meaning of the fields follows the Networking API: a protocol is a name or a number; for TCP, UDP,
SCTP, DCCP and UDP-Lite `port_min..port_max` are ports, for ICMP they are type and code; `icmp` of an
IPv6 rule means ICMPv6.
"""

import ipaddress
from typing import Literal

from altostratus.contracts.network import SecurityRule
from altostratus.drivers.network.linuxbridge.names import check_id

PROTOCOL_NUMBERS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
_WITH_PORTS = frozenset({6, 17, 33, 132, 136})
_ICMP = 1
_ICMPV6 = 58


def protocol_number(protocol: str | None, ethertype: Literal["IPv4", "IPv6"]) -> int | None:
    """Number of a protocol, None for any. Raises ValueError with a sentence for unknown names."""
    if protocol is None or protocol.lower() in ("any", "0", ""):
        return None
    name = protocol.lower()
    number = int(name) if name.isdecimal() else PROTOCOL_NUMBERS.get(name)
    if number is None or number > 255:
        raise ValueError(f"protocol '{protocol}' is neither a known name nor a number from 0 to 255")
    return _ICMPV6 if number == _ICMP and ethertype == "IPv6" else number


def member_set(group_id: str, version: Literal[4, 6], *, prefixes: bool) -> str:
    """Name of the set with a group's member addresses (or prefixes)."""
    return f"m{version}{'n' if prefixes else ''}-{check_id(group_id)}"


def _protocol_match(rule: SecurityRule) -> str:
    number = protocol_number(rule.protocol, rule.ethertype)
    if number is None:
        return ""
    parts = [f"meta l4proto {number}"]
    low, high = rule.port_min, rule.port_max
    if number in _WITH_PORTS and (low is not None or high is not None):
        first, last = low if low is not None else 0, high if high is not None else 65535
        if not 0 <= first <= last <= 65535:
            raise ValueError(f"ports {first} to {last} are not a range within 0 to 65535")
        parts.append(f"th dport {first}" if first == last else f"th dport {first}-{last}")
    elif number in (_ICMP, _ICMPV6) and low is not None:
        word = "icmp" if number == _ICMP else "icmpv6"
        if not 0 <= low <= 255 or (high is not None and not 0 <= high <= 255):
            raise ValueError(f"ICMP type {low} and code {high} must be within 0 to 255")
        parts.append(f"{word} type {low}")
        if high is not None:
            parts.append(f"{word} code {high}")
    return " ".join(parts)


def _remote_matches(rule: SecurityRule, groups_with_prefixes: frozenset[str]) -> list[str]:
    """One match per way to be a remote; an empty match means anybody."""
    word, version = ("ip", 4) if rule.ethertype == "IPv4" else ("ip6", 6)
    side = "saddr" if rule.direction == "ingress" else "daddr"
    if rule.remote_group_id is not None:
        names = [member_set(rule.remote_group_id, 4 if version == 4 else 6, prefixes=False)]
        if rule.remote_group_id in groups_with_prefixes:
            names.append(member_set(rule.remote_group_id, 4 if version == 4 else 6, prefixes=True))
        return [f"{word} {side} @{name}" for name in names]
    if rule.remote_ip_prefix is None:
        return [""]
    network = ipaddress.ip_network(rule.remote_ip_prefix, strict=False)
    if network.version != version:
        raise ValueError(f"prefix {network} is not an {rule.ethertype} prefix")
    return [""] if network.prefixlen == 0 else [f"{word} {side} {network}"]


def compile_rule(rule: SecurityRule, groups_with_prefixes: frozenset[str]) -> list[str]:
    """nftables rules (family bridge) that accept what the rule allows. Raises ValueError."""
    ether = "ether type ip" if rule.ethertype == "IPv4" else "ether type ip6"
    protocol = _protocol_match(rule)
    remotes = _remote_matches(rule, groups_with_prefixes)
    return [" ".join(part for part in (ether, remote, protocol, "accept") if part) for remote in remotes]
