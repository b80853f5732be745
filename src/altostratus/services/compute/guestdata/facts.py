# SPDX-License-Identifier: Apache-2.0
"""Everything that one server's metadata is made of, read from the database once."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.logic import servers
from altostratus.services.network import public as network
from altostratus.services.network.public import PortInfo, SubnetInfo

_SEED_BYTES = 512


@dataclass(frozen=True, slots=True)
class Facts:
    """One server as its guest may know it. `domain` is added to host names."""

    server: Row[Any]
    ports: list[PortInfo] = field(default_factory=list)
    subnets: Mapping[str, SubnetInfo] = field(default_factory=dict)
    devices: list[Row[Any]] = field(default_factory=list)
    domain: str = ""

    @property
    def hostname(self) -> str:
        name: str = self.server.hostname
        return f"{name}.{self.domain}" if self.domain and "." not in name else name

    @property
    def user_data(self) -> bytes | None:
        """The very bytes that the user gave; None if there are none."""
        text = self.server.user_data
        if not text:
            return None
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            return None

    def addresses(self, version: int) -> list[str]:
        return [ip for port in self.ports for ip, _subnet, one in port.fixed_ips if one == version]

    def floating(self) -> list[str]:
        return [ip for port in self.ports for ip in port.floating_ips.values()]

    def group_names(self) -> list[str]:
        return list(dict.fromkeys(name for port in self.ports for _id, name in port.security_groups))


def gather(tx: Tx, cloud: Cloud, server: Row[Any]) -> Facts:
    ports = network.ports_of_servers(tx, [server.id]).get(server.id, [])
    order = {port_id: place for place, port_id in enumerate(server.nics)}
    ports = sorted(ports, key=lambda port: order.get(port.id, len(order)))
    subnets = network.find_subnets(tx, {subnet for port in ports for _ip, subnet, _version in port.fixed_ips})
    devices = servers.devices_of(tx, [server.id])[server.id]
    return Facts(server, ports, subnets, devices, cloud[ComputeOptions].dhcp_domain)


def random_seed() -> str:
    return base64.b64encode(secrets.token_bytes(_SEED_BYTES)).decode()
