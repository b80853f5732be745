# SPDX-License-Identifier: Apache-2.0
"""Routers and floating IPs. A router's interfaces are the ports whose device it is."""

from typing import Any

from sqlalchemy import ForeignKey, Index

from altostratus.kernel.db import Mapped, Model, mapped_column
from altostratus.services.network.models.standard import Named, Standard


class Router(Named, Model):
    __tablename__ = "routers"
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(default="ACTIVE")
    gateway_port_id: Mapped[str | None]
    gateway_network_id: Mapped[str | None] = mapped_column(index=True)
    enable_snat: Mapped[bool] = mapped_column(default=True)
    routes: Mapped[list[Any]] = mapped_column(default=list)
    availability_zone_hints: Mapped[list[Any]] = mapped_column(default=list)


class FloatingIp(Standard, Model):
    """An external address. `port_id` and `fixed_ip_address` say where it leads, `floating_port_id` is
    the port on the external network that holds it."""

    __tablename__ = "floatingips"
    __table_args__ = (Index("ux_floatingips_fixed", "port_id", "fixed_ip_address", "floating_network_id", unique=True),)
    tags: Mapped[list[Any]] = mapped_column(default=list)
    floating_network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    floating_port_id: Mapped[str]
    floating_ip_address: Mapped[str] = mapped_column(index=True)
    port_id: Mapped[str | None]
    fixed_ip_address: Mapped[str | None]
    router_id: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default="DOWN")
    dns_name: Mapped[str] = mapped_column(default="")
    dns_domain: Mapped[str] = mapped_column(default="")
    qos_policy_id: Mapped[str | None]


class PortForwarding(Standard, Model):
    """One port of a floating IP that leads to a port of an internal address."""

    __tablename__ = "portforwardings"
    __table_args__ = (
        Index("ux_portforwardings_external", "floatingip_id", "protocol", "external_port", unique=True),
        Index("ix_portforwardings_internal", "internal_port_id"),
    )
    floatingip_id: Mapped[str] = mapped_column(ForeignKey("floatingips.id"))
    protocol: Mapped[str]
    external_port: Mapped[int]
    internal_port_id: Mapped[str]
    internal_ip_address: Mapped[str]
    internal_port: Mapped[int]
