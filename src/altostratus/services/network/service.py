# SPDX-License-Identifier: Apache-2.0
"""Manifest of the network service."""

from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.services.network import policies
from altostratus.services.network.api.agents import AgentResource, AgentsOfThings
from altostratus.services.network.api.availability import AvailabilityZones, IpAvailability, ServiceProviders
from altostratus.services.network.api.extensions import ExtensionResource
from altostratus.services.network.api.floating_ips import FloatingIpResource
from altostratus.services.network.api.networks import NetworkResource
from altostratus.services.network.api.port_forwardings import PortForwardingResource
from altostratus.services.network.api.ports import PortResource
from altostratus.services.network.api.quotas import QuotaResource
from altostratus.services.network.api.routers import RouterResource
from altostratus.services.network.api.security_group_rules import SecurityGroupRuleResource
from altostratus.services.network.api.security_groups import SecurityGroupResource
from altostratus.services.network.api.subnetpools import SubnetPoolResource
from altostratus.services.network.api.subnets import SubnetResource
from altostratus.services.network.api.versions import Versions
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import envelope
from altostratus.services.network.logic.quotas import QUOTAS
from altostratus.services.network.logic.reports import router_observed
from altostratus.services.network.reconcilers.hosts import SYNC_NEW_HOSTS

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
        PortForwardingResource,
        SecurityGroupResource,
        SecurityGroupRuleResource,
        SubnetPoolResource,
        AgentResource,
        AgentsOfThings,
        QuotaResource,
        ExtensionResource,
        AvailabilityZones,
        ServiceProviders,
        IpAvailability,
        Versions,
    ),
    envelope=envelope,
    policy_namespace="neutron",
    style=Style(links="neutron", admin_all=True, max_limit=10_000),
    quotas=QUOTAS,
    options=(NetworkOptions,),
    rules=policies.RULES,
    reports=(("router", router_observed),),
    reconcilers=(SYNC_NEW_HOSTS,),
    classic_port=9696,
)
