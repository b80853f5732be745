# SPDX-License-Identifier: Apache-2.0
"""Manifest of the network service."""

from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.services.network import policies
from altostratus.services.network.api.floating_ips import FloatingIpResource
from altostratus.services.network.api.networks import NetworkResource
from altostratus.services.network.api.ports import PortResource
from altostratus.services.network.api.routers import RouterResource
from altostratus.services.network.api.security_group_rules import SecurityGroupRuleResource
from altostratus.services.network.api.security_groups import SecurityGroupResource
from altostratus.services.network.api.subnetpools import SubnetPoolResource
from altostratus.services.network.api.subnets import SubnetResource
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import envelope
from altostratus.services.network.logic.quotas import QUOTAS

SERVICE = Service(
    type="network",
    name="neutron",
    title="Network",
    path="/network/v2.0",
    root="/network",
    resources=(
        NetworkResource,
        SubnetResource,
        PortResource,
        RouterResource,
        FloatingIpResource,
        SecurityGroupResource,
        SecurityGroupRuleResource,
        SubnetPoolResource,
    ),
    envelope=envelope,
    policy_namespace="neutron",
    style=Style(links="neutron", admin_all=True, max_limit=10_000),
    quotas=QUOTAS,
    options=(NetworkOptions,),
    rules=policies.RULES,
    classic_port=9696,
)
