# SPDX-License-Identifier: Apache-2.0
"""Checks of a port's smaller parts: address pairs, DHCP options, DNS names."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from altostratus.services.network.errors import invalid
from altostratus.services.network.logic.addresses import check_mac

_LABEL = re.compile(r"^(?!-)[a-zA-Z0-9_-]{1,63}(?<!-)$")


def check_pairs(pairs: Sequence[Mapping[str, Any]], most: int, port_mac: str) -> list[dict[str, str]]:
    """Address pairs with their MACs filled in. Raises BadRequest."""
    if len(pairs) > most:
        raise invalid(f"The number of allowed address pair exceeds the maximum {most}.", "AddressPairExhausted")
    found: list[dict[str, str]] = []
    for pair in pairs:
        address = str(pair["ip_address"])
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise invalid(
                f"Invalid input for allowed_address_pairs. Reason: '{address}' is not a valid IP address or CIDR."
            ) from None
        mac = check_mac(pair["mac_address"]) if pair.get("mac_address") else port_mac
        one = {"ip_address": address, "mac_address": mac}
        if one in found:
            raise invalid(
                f"Request contains duplicate address pair: mac_address {mac} ip_address {address}.",
                "DuplicateAddressPairInRequest",
            )
        found.append(one)
    return found


def merge_dhcp_options(old: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """DHCP options after a request: a value of None removes an option, the others are set."""
    merged = {(one["opt_name"], one["ip_version"]): dict(one) for one in old}
    for option in given:
        name, value = option["opt_name"], option.get("opt_value")
        version = int(option.get("ip_version") or 4)
        if value is None:
            merged.pop((name, version), None)
            continue
        if not name.strip() or "\n" in name or "\n" in value:
            raise invalid("Invalid input for extra_dhcp_opts. Reason: names and values must be one line of text.")
        merged[name, version] = {"opt_name": name, "opt_value": value, "ip_version": version}
    return list(merged.values())


def check_dns_name(name: str) -> str:
    """A host name, with or without a domain. Raises BadRequest."""
    plain = name.removesuffix(".")
    if name and not (len(plain) <= 253 and all(_LABEL.match(label) for label in plain.split("."))):
        raise invalid(
            f"Invalid input for dns_name. Reason: '{name}' not a valid PQDN or FQDN: labels have 1 to 63 letters, "
            "digits and hyphens, and neither begin nor end with a hyphen."
        )
    return name


def dns_assignment(name: str, fixed_ips: Sequence[Mapping[str, str]], domain: str) -> list[dict[str, str]]:
    """How the port's addresses are called."""
    end = domain if domain.endswith(".") else domain + "."
    found = []
    for one in fixed_ips:
        address = one["ip_address"]
        host = name or "host-" + address.replace(".", "-").replace(":", "-")
        fqdn = host if host.endswith(".") else f"{host}.{end}"
        found.append({"ip_address": address, "hostname": host.split(".")[0], "fqdn": fqdn})
    return found
