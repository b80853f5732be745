# SPDX-License-Identifier: Apache-2.0
"""Security group rules become exactly the nftables text they mean."""

from typing import Any

import pytest

from altostratus.drivers.network.linuxbridge.rules import compile_rule, protocol_number
from altostratus.testing.network_conformance import id_of, rule

GROUP = id_of("group")


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, "ether type ip accept"),
        ({"protocol": "any"}, "ether type ip accept"),
        ({"protocol": "tcp"}, "ether type ip meta l4proto 6 accept"),
        ({"protocol": "TCP", "port_min": 22, "port_max": 22}, "ether type ip meta l4proto 6 th dport 22 accept"),
        ({"protocol": "17", "port_min": 1, "port_max": 99}, "ether type ip meta l4proto 17 th dport 1-99 accept"),
        ({"protocol": "sctp", "port_max": 80}, "ether type ip meta l4proto 132 th dport 0-80 accept"),
        ({"protocol": "udplite", "port_min": 5}, "ether type ip meta l4proto 136 th dport 5-65535 accept"),
        ({"protocol": "icmp"}, "ether type ip meta l4proto 1 accept"),
        ({"protocol": "icmp", "port_min": 8}, "ether type ip meta l4proto 1 icmp type 8 accept"),
        (
            {"protocol": "icmp", "port_min": 3, "port_max": 4},
            "ether type ip meta l4proto 1 icmp type 3 icmp code 4 accept",
        ),
        ({"protocol": "vrrp"}, "ether type ip meta l4proto 112 accept"),
        # ports of protocols without ports mean nothing
        ({"protocol": "gre", "port_min": 5, "port_max": 5}, "ether type ip meta l4proto 47 accept"),
        ({"remote_ip_prefix": "0.0.0.0/0"}, "ether type ip accept"),
        ({"remote_ip_prefix": "10.1.2.3/8"}, "ether type ip ip saddr 10.0.0.0/8 accept"),
        ({"remote_ip_prefix": "10.1.2.3"}, "ether type ip ip saddr 10.1.2.3/32 accept"),
        ({"remote_group_id": GROUP}, f"ether type ip ip saddr @m4-{GROUP} accept"),
    ],
)
def test_ingress_of_ipv4(fields: dict[str, Any], expected: str) -> None:
    assert compile_rule(rule("r", "ingress", **fields), frozenset()) == [expected]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, "ether type ip6 accept"),
        ({"protocol": "icmp", "port_min": 128}, "ether type ip6 meta l4proto 58 icmpv6 type 128 accept"),
        ({"protocol": "ipv6-icmp"}, "ether type ip6 meta l4proto 58 accept"),
        ({"remote_ip_prefix": "fd00::/8"}, "ether type ip6 ip6 daddr fd00::/8 accept"),
        ({"remote_group_id": GROUP}, f"ether type ip6 ip6 daddr @m6-{GROUP} accept"),
    ],
)
def test_egress_of_ipv6(fields: dict[str, Any], expected: str) -> None:
    assert compile_rule(rule("r", "egress", 6, **fields), frozenset()) == [expected]


def test_members_with_prefixes_are_a_second_set() -> None:
    compiled = compile_rule(rule("r", "ingress", remote_group_id=GROUP), frozenset({GROUP}))
    assert compiled == [f"ether type ip ip saddr @m4-{GROUP} accept", f"ether type ip ip saddr @m4n-{GROUP} accept"]


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"protocol": "nonsense"}, "neither a known name"),
        ({"protocol": "256"}, "0 to 255"),
        ({"protocol": "tcp", "port_min": 5, "port_max": 2}, "not a range"),
        ({"protocol": "tcp", "port_min": 5, "port_max": 70000}, "65535"),
        ({"protocol": "icmp", "port_min": 300}, "255"),
        ({"remote_ip_prefix": "fd00::/8"}, "not an IPv4 prefix"),
        ({"remote_ip_prefix": "1.2.3.4; drop"}, "does not appear"),
        ({"remote_group_id": "x } accept"}, "not an id"),
    ],
)
def test_what_cannot_be_said_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        compile_rule(rule("r", "ingress", **fields), frozenset())


def test_icmp_means_the_protocol_of_its_ip_version() -> None:
    assert protocol_number("icmp", "IPv4") == 1
    assert protocol_number("icmp", "IPv6") == protocol_number("1", "IPv6") == 58
    assert protocol_number(None, "IPv4") is None
