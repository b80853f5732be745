# SPDX-License-Identifier: Apache-2.0
"""The `[network]` section."""

from typing import Annotated, Literal

from msgspec import field

from altostratus.kernel.config import Meta, Section


class NetworkOptions(Section, frozen=True, kw_only=True, name="network"):
    """What networks people can make, and what the ones without wishes are made of."""

    tenant_network_type: Annotated[
        Literal["vxlan", "vlan", "local"], Meta(description="type of a network when nobody asks for one")
    ] = "vxlan"
    flat_networks: Annotated[list[str], Meta(description="physical networks that flat networks may use")] = field(
        default_factory=lambda: ["public"]
    )
    network_vlan_ranges: Annotated[
        list[str], Meta(description="physical networks for VLANs, with the ids given to projects: name[:from:to]")
    ] = field(default_factory=lambda: ["public"])
    vni_ranges: Annotated[list[str], Meta(description="VXLAN ids given to networks: from:to")] = field(
        default_factory=lambda: ["1:65535"]
    )
    physical_network_mtu: Annotated[int, Meta(description="MTU of the physical networks", ge=576, le=65535)] = 1500
    dns_domain: Annotated[str, Meta(description="domain of ports' names")] = "openstacklocal."
    base_mac: Annotated[
        str, Meta(description="first half of generated MAC addresses", pattern="^([0-9a-f]{2}:){2}[0-9a-f]{2}$")
    ] = "fa:16:3e"
    max_fixed_ips_per_port: Annotated[int, Meta(description="addresses one port may have", ge=1)] = 15
    max_allowed_address_pairs: Annotated[int, Meta(description="address pairs one port may have", ge=0)] = 10
    max_subnet_host_routes: Annotated[int, Meta(description="host routes of one subnet", ge=0)] = 20
    max_dns_nameservers: Annotated[int, Meta(description="name servers of one subnet", ge=0)] = 5
    max_routes: Annotated[int, Meta(description="static routes of one router", ge=0)] = 30
    agent_down_time_s: Annotated[float, Meta(description="silence after which an agent counts as dead", gt=0)] = 75.0


def parse_range(text: str) -> tuple[int, int]:
    """`1:65535` to its two numbers. Raises ValueError."""
    low, _, high = text.partition(":")
    first, last = int(low), int(high or low)
    if first > last:
        raise ValueError(f"{text}: the first number is greater than the last")
    return first, last


def vlan_ranges(options: NetworkOptions) -> dict[str, list[tuple[int, int]]]:
    """Physical networks that VLANs may use, each with the ranges projects get ids from (maybe none)."""
    found: dict[str, list[tuple[int, int]]] = {}
    for text in options.network_vlan_ranges:
        name, _, numbers = text.partition(":")
        ranges = found.setdefault(name, [])
        if numbers:
            ranges.append(parse_range(numbers))
    return found
