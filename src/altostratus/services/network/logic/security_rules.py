# SPDX-License-Identifier: Apache-2.0
"""Rules of security groups: what is a sensible one, and that none stands twice."""

import ipaddress
from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.kernel.numbers import whole_number
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic import notices, quotas, rows, wants
from altostratus.services.network.models import SecurityGroup, SecurityGroupRule

PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "icmpv6": 58, "igmp": 2, "ip": 0,
    "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
    "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
WITH_PORTS = frozenset((6, 17, 33, 132, 136))
_ICMP, _ICMP_V6 = 1, 58
_V6_ONLY = frozenset((41, 43, 44, 58, 59, 60))
_COMPARED = (
    "security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
    "remote_group_id",
)  # fmt: skip


def create(tx: Tx, cloud: Cloud, group: Row[Any], project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A new rule of the group. Raises BadRequest, Conflict or OverQuota."""
    quotas.demand(tx, cloud, project_id, {"security_group_rule": 1})
    rule = {**_EMPTY, **values, "security_group_id": group.id}
    check(rule)
    _check_new(tx, rule)
    new = {**rows.begin(project_id), **rule}
    tx.insert(SecurityGroupRule, **new)
    rows.change(tx, SecurityGroup, group.id)
    made = tx.get(SecurityGroupRule, new["id"])
    notices.tell(tx, cloud, "security_group_rule.create", made)
    return made


_EMPTY: dict[str, Any] = {
    "ethertype": "IPv4",
    "protocol": None,
    "port_range_min": None,
    "port_range_max": None,
    "remote_ip_prefix": None,
    "remote_group_id": None,
}


def check(rule: dict[str, Any]) -> None:
    """Bring the rule into its canonical form. Raises BadRequest for one that makes no sense."""
    rule["protocol"] = check_protocol(rule["protocol"])
    number = protocol_number(rule["protocol"])
    if number in _V6_ONLY and rule["ethertype"] == "IPv4":
        raise invalid(
            f"Invalid ethertype {rule['ethertype']} for protocol {rule['protocol']}.",
            "SecurityGroupEthertypeConflictWithProtocol",
        )
    _check_ports(rule, number)
    prefix = rule["remote_ip_prefix"]
    if prefix is not None and rule["remote_group_id"] is not None:
        raise invalid(
            "Only remote_ip_prefix or remote_group_id may be provided.", "SecurityGroupRemoteGroupAndRemoteIpPrefix"
        )
    if prefix is None:
        return
    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        raise invalid(f"Invalid CIDR {prefix} given as IP prefix.", "InvalidCIDR") from None
    if f"IPv{network.version}" != rule["ethertype"]:
        raise invalid(
            f"Conflicting value ethertype {rule['ethertype']} for CIDR {prefix}.", "SecurityGroupRuleParameterConflict"
        )
    rule["remote_ip_prefix"] = prefix if "/" in prefix else f"{prefix}/{network.prefixlen}"


def check_protocol(protocol: Any) -> str | None:
    """A known name or a number from 0 to 255, as text; None and "any" mean any."""
    if protocol is None or str(protocol).lower() in ("any", ""):
        return None
    text = str(protocol).lower()
    if text in PROTOCOLS or whole_number(text) in range(256):
        return text
    raise invalid(
        f"Security group rule protocol {protocol} not supported. Only protocol values {', '.join(PROTOCOLS)} and "
        "integer representations [0 to 255] are supported.",
        "SecurityGroupRuleInvalidProtocol",
    )


def protocol_number(protocol: str | None) -> int | None:
    if protocol is None:
        return None
    return PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)


def _check_ports(rule: dict[str, Any], number: int | None) -> None:
    low, high = rule["port_range_min"], rule["port_range_max"]
    if low is None and high is None:
        return
    for port in (low, high):
        if port is not None and not 0 <= port <= 65535:
            raise invalid(f"Invalid value for port {port}: use 1 to 65535.", "SecurityGroupInvalidPortValue")
    if number is None:
        raise invalid("Must also specify protocol if port range is given.", "SecurityGroupProtocolRequiredWithPorts")
    if number in (_ICMP, _ICMP_V6):
        if low is None:
            raise invalid(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                "SecurityGroupMissingIcmpType",
            )
        for field, value in (("port-range-min", low), ("port-range-max", high)):
            if value is not None and not 0 <= value <= 255:
                word = "type" if field == "port-range-min" else "code"
                raise invalid(
                    f"Invalid value for ICMP {word} ({field}) {value}. It must be 0 to 255.",
                    "SecurityGroupInvalidIcmpValue",
                )
        return
    if number not in WITH_PORTS:
        raise invalid(
            f"Invalid protocol {rule['protocol']} for port range, only supported for tcp, udp, sctp, dccp and udplite.",
            "SecurityGroupInvalidProtocolForPort",
        )
    if low == 0 or high == 0:
        raise invalid("Invalid value for port 0: use 1 to 65535.", "SecurityGroupInvalidPortValue")
    if low is None or high is None or low > high:
        raise invalid(
            "For TCP/UDP protocols, port_range_min must be <= port_range_max; give both.",
            "SecurityGroupInvalidPortRange",
        )


def _check_new(tx: Tx, rule: dict[str, Any]) -> None:
    table = table_of(SecurityGroupRule)
    same_kind = tx.rows(
        select(table).where(
            table.c.security_group_id == rule["security_group_id"],
            table.c.direction == rule["direction"],
            table.c.ethertype == rule["ethertype"],
        )
    )
    new = _comparable(rule)
    for row in same_kind:
        if _comparable(row._mapping) == new:
            raise Conflict(f"Security group rule already exists. Rule id is {row.id}.", kind="SecurityGroupRuleExists")


def _comparable(rule: Any) -> tuple[Any, ...]:
    values = {name: rule[name] for name in _COMPARED}
    values["protocol"] = protocol_number(values["protocol"])
    prefix = normalized_cidr(values["remote_ip_prefix"])
    values["remote_ip_prefix"] = None if prefix in ("0.0.0.0/0", "::/0") else prefix
    return tuple(values.values())


def normalized_cidr(prefix: str | None) -> str | None:
    """The prefix without host bits."""
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def delete(tx: Tx, cloud: Cloud, rule: Row[Any]) -> None:
    tx.delete(SecurityGroupRule, rule.id)
    rows.change(tx, SecurityGroup, rule.security_group_id)
    wants.publish_group(tx, cloud, rule.security_group_id)
    notices.tell_deleted(tx, cloud, "security_group_rule.delete", rule)
