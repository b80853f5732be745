# SPDX-License-Identifier: Apache-2.0
"""Tables of the network service, one file per aggregate."""

from altostratus.services.network.models.hosts import AgentSetting, SyncedHost
from altostratus.services.network.models.networks import Network, SegmentAllocation, Subnet, SubnetPool
from altostratus.services.network.models.ports import IpAllocation, Port, PortSecurityGroup
from altostratus.services.network.models.quarantines import Quarantine
from altostratus.services.network.models.routers import FloatingIp, PortForwarding, Router
from altostratus.services.network.models.security import SecurityGroup, SecurityGroupRule

__all__ = [
    "AgentSetting",
    "FloatingIp",
    "IpAllocation",
    "Network",
    "Port",
    "PortForwarding",
    "PortSecurityGroup",
    "Quarantine",
    "Router",
    "SecurityGroup",
    "SecurityGroupRule",
    "SegmentAllocation",
    "Subnet",
    "SubnetPool",
    "SyncedHost",
]
