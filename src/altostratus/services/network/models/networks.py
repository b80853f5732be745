# SPDX-License-Identifier: Apache-2.0
"""Networks, their segments and subnets, and pools of subnets."""

from typing import Any

from sqlalchemy import ForeignKey, Index

from altostratus.kernel.db import Mapped, Model, mapped_column
from altostratus.services.network.models.standard import Named


class Network(Named, Model):
    """A layer-2 segment. `segmentation_id` is the VLAN or VNI."""

    __tablename__ = "networks"
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(default="ACTIVE")
    shared: Mapped[bool] = mapped_column(default=False)
    router_external: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    mtu: Mapped[int]
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    dns_domain: Mapped[str] = mapped_column(default="")
    vlan_transparent: Mapped[bool | None]
    qos_policy_id: Mapped[str | None]
    availability_zone_hints: Mapped[list[Any]] = mapped_column(default=list)
    network_type: Mapped[str]
    physical_network: Mapped[str | None]
    segmentation_id: Mapped[int | None]


class SegmentAllocation(Model):
    """What a network occupies: one VNI, one VLAN of a physical network, or (0) all of it when flat."""

    __tablename__ = "network_segment_allocations"
    network_type: Mapped[str] = mapped_column(primary_key=True)
    physical_network: Mapped[str] = mapped_column(primary_key=True)
    segmentation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), index=True)


class Subnet(Named, Model):
    """Addresses of a network. `ip_cursor` is the key of the address given last."""

    __tablename__ = "subnets"
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    subnetpool_id: Mapped[str | None] = mapped_column(index=True)
    cidr: Mapped[str]
    ip_version: Mapped[int]
    gateway_ip: Mapped[str | None]
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    allocation_pools: Mapped[list[Any]] = mapped_column(default=list)
    dns_nameservers: Mapped[list[Any]] = mapped_column(default=list)
    host_routes: Mapped[list[Any]] = mapped_column(default=list)
    service_types: Mapped[list[Any]] = mapped_column(default=list)
    ipv6_ra_mode: Mapped[str | None]
    ipv6_address_mode: Mapped[str | None]
    ip_cursor: Mapped[str] = mapped_column(default="")


class SubnetPool(Named, Model):
    """Prefixes that subnets can be cut from."""

    __tablename__ = "subnetpools"
    __table_args__ = (Index("ix_subnetpools_default", "is_default", "ip_version"),)
    ip_version: Mapped[int]
    prefixes: Mapped[list[Any]] = mapped_column(default=list)
    default_prefixlen: Mapped[int]
    min_prefixlen: Mapped[int]
    max_prefixlen: Mapped[int]
    default_quota: Mapped[int | None]
    shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    address_scope_id: Mapped[str | None]
