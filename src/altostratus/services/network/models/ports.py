# SPDX-License-Identifier: Apache-2.0
"""Ports and the addresses they hold.

A port's addresses and security groups stand twice: as JSON in the port's row, from which it is shown,
and as rows of their own, which keep addresses unique and answer "who uses this?". Both are written in
the same transaction by `logic.ports` and nobody else.
"""

from typing import Any

from sqlalchemy import ForeignKey, Index

from altostratus.kernel.db import Mapped, Model, mapped_column
from altostratus.services.network.models.standard import Named


class Port(Named, Model):
    """A place where a server, router or DHCP server plugs into a network."""

    __tablename__ = "ports"
    __table_args__ = (
        Index("ux_ports_mac", "network_id", "mac_address", unique=True),
        Index("ix_ports_owner", "network_id", "device_owner"),
    )
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    mac_address: Mapped[str]
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(default="DOWN")
    device_id: Mapped[str] = mapped_column(index=True, default="")
    device_owner: Mapped[str] = mapped_column(default="")
    fixed_ips: Mapped[list[Any]] = mapped_column(default=list)
    security_groups: Mapped[list[Any]] = mapped_column(default=list)
    allowed_address_pairs: Mapped[list[Any]] = mapped_column(default=list)
    extra_dhcp_opts: Mapped[list[Any]] = mapped_column(default=list)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    host_id: Mapped[str] = mapped_column(default="")
    vnic_type: Mapped[str] = mapped_column(default="normal")
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)
    dns_name: Mapped[str] = mapped_column(default="")
    dns_domain: Mapped[str] = mapped_column(default="")
    qos_policy_id: Mapped[str | None]
    propagate_uplink_status: Mapped[bool] = mapped_column(default=True)
    created_by_compute: Mapped[bool] = mapped_column(default=False)
    quarantined: Mapped[bool] = mapped_column(default=False)


class IpAllocation(Model):
    """One address in use. `ip_key` is the address as hexadecimal digits of fixed width, so text order
    is address order."""

    __tablename__ = "ip_allocations"
    __table_args__ = (Index("ix_ip_allocations_address", "network_id", "ip_address"),)
    subnet_id: Mapped[str] = mapped_column(ForeignKey("subnets.id"), primary_key=True)
    ip_key: Mapped[str] = mapped_column(primary_key=True)
    ip_address: Mapped[str]
    network_id: Mapped[str]
    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), index=True)


class PortSecurityGroup(Model):
    __tablename__ = "port_security_groups"
    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    security_group_id: Mapped[str] = mapped_column(ForeignKey("security_groups.id"), primary_key=True, index=True)
