# SPDX-License-Identifier: Apache-2.0
"""The manifest of compute: everything it consists of."""

from altostratus.kernel.policy import Rule
from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.versions import Microversions
from altostratus.services.compute.api.aggregates import Aggregates
from altostratus.services.compute.api.flavors import Flavor
from altostratus.services.compute.api.groups import ServerGroups
from altostratus.services.compute.api.hypervisors import Hosts, Hypervisors
from altostratus.services.compute.api.keypairs import Keypair
from altostratus.services.compute.api.proxies.images import ImageMetadata, Images
from altostratus.services.compute.api.proxies.networks import (
    FloatingIpPools,
    FloatingIps,
    Networks,
    ServerAddresses,
    TenantNetworks,
)
from altostratus.services.compute.api.proxies.security_groups import SecurityGroupRules, SecurityGroups
from altostratus.services.compute.api.proxies.volumes import Snapshots, Volumes
from altostratus.services.compute.api.quotas import Limits, QuotaClassSets, QuotaSets
from altostratus.services.compute.api.servers.administration import ServerAdministration
from altostratus.services.compute.api.servers.consoles import ConsoleTokens, ServerConsoles
from altostratus.services.compute.api.servers.disks import ServerDisks
from altostratus.services.compute.api.servers.history import ServerHistory
from altostratus.services.compute.api.servers.metadata import ServerMetadata, ServerTags
from altostratus.services.compute.api.servers.networking import ServerNetworking
from altostratus.services.compute.api.servers.power import ServerPower
from altostratus.services.compute.api.servers.resource import Server
from altostratus.services.compute.api.servers.setting_aside import ServerSettingAside
from altostratus.services.compute.api.servers.volumes import ServerVolumes
from altostratus.services.compute.api.services import AvailabilityZones, Services
from altostratus.services.compute.api.usage import TenantUsage
from altostratus.services.compute.api.versions import (
    MAXIMUM,
    MINIMUM,
    Extensions,
    ExternalEvents,
    Migrations,
    OldVersion,
    Version,
    Versions,
)
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.errors import envelope
from altostratus.services.compute.guestdata.answer import metadata
from altostratus.services.compute.jobs.create import CREATE
from altostratus.services.compute.jobs.create_image import CREATE_IMAGE
from altostratus.services.compute.jobs.delete import DELETE
from altostratus.services.compute.jobs.interfaces import ATTACH_INTERFACE, DETACH_INTERFACE
from altostratus.services.compute.jobs.power import POWER_JOBS
from altostratus.services.compute.jobs.rebuild import REBUILD
from altostratus.services.compute.jobs.reports import on_server
from altostratus.services.compute.jobs.rescue import RESCUE, UNRESCUE
from altostratus.services.compute.jobs.resize import CONFIRM_RESIZE, RESIZE, REVERT_RESIZE
from altostratus.services.compute.jobs.shelve import SHELVE, UNSHELVE
from altostratus.services.compute.jobs.volumes import ATTACH_VOLUME, DETACH_VOLUME
from altostratus.services.compute.logic.flavors import seed_flavors
from altostratus.services.compute.logic.limits import COUNTABLES
from altostratus.services.compute.questions import console
from altostratus.services.compute.reconcilers import ANNOUNCE_HOSTS, FORGET_OLD

_ADMIN, _MEMBER, _READER = "rule:context_is_admin", "rule:project_member_or_admin", "rule:project_reader_or_admin"
# rules that handlers ask for beside those of their operations
_RULES = (
    Rule("os_compute_api:os-extended-server-attributes", _ADMIN, "Host, node and other inner facts of servers."),
    Rule("os_compute_api:servers:show:host_status", _ADMIN, "State of the host of a server."),
    Rule("os_compute_api:servers:show:flavor-extra-specs", _READER, "Extra specs in the flavor of a server."),
    Rule("os_compute_api:servers:allow_all_filters", _ADMIN, "List servers with every filter."),
    Rule("os_compute_api:servers:index:get_all_tenants", _ADMIN, "List servers of all projects."),
    Rule("os_compute_api:servers:detail:get_all_tenants", _ADMIN, "List servers of all projects in detail."),
    Rule("os_compute_api:servers:create:forced_host", _ADMIN, "Create a server with zone:host."),
    Rule("compute:servers:create:requested_destination", _ADMIN, "Create a server on a named host."),
    Rule("os_compute_api:servers:create:attach_volume", _MEMBER, "Create a server with volumes."),
    Rule("os_compute_api:servers:create:attach_network", _MEMBER, "Create a server with networks."),
    Rule("os_compute_api:servers:create:trusted_certs", _MEMBER, "Create a server with trusted certificates."),
    Rule("os_compute_api:servers:create_image:allow_volume_backed", _MEMBER, "Make images of volume-backed servers."),
    # upstream lets only administrators do this, for fear of images that fill the host; here the size of
    # the image is known and claimed
    Rule("os_compute_api:servers:create:zero_disk_flavor", _MEMBER, "Create a server with a flavor without disk."),
    Rule("os_compute_api:os-shelve:unshelve_to_host", _ADMIN, "Bring a shelved server back on a named host."),
    Rule("os_compute_api:os-lock-server:unlock:unlock_override", _ADMIN, "Unlock what an administrator locked."),
    Rule("os_compute_api:os-instance-actions:events", _ADMIN, "Details of the events of an action."),
    Rule("os_compute_api:limits:other_project", _ADMIN, "Limits of another project."),
    Rule("os_compute_api:os-server-groups:index:all_projects", _ADMIN, "List server groups of all projects."),
    Rule("compute:server:topology:host:index", _ADMIN, "Host part of a server's topology."),
)

SERVICE = Service(
    type="compute",
    name="nova",
    title="Compute",
    policy_namespace="nova",
    path="/compute/v2.1",
    root="/compute",
    old_paths=("/compute/v2",),
    strict_paths=True,
    classic_port=8774,
    resources=(
        Versions,
        OldVersion,
        Version,
        Server,
        ServerPower,
        ServerAdministration,
        ServerDisks,
        ServerMetadata,
        ServerTags,
        ServerNetworking,
        ServerVolumes,
        ServerHistory,
        ServerConsoles,
        ServerSettingAside,
        ConsoleTokens,
        Flavor,
        Keypair,
        ServerGroups,
        Limits,
        QuotaSets,
        QuotaClassSets,
        TenantUsage,
        Hypervisors,
        Hosts,
        Services,
        AvailabilityZones,
        Aggregates,
        Extensions,
        ExternalEvents,
        Migrations,
        SecurityGroups,
        SecurityGroupRules,
        Networks,
        TenantNetworks,
        FloatingIps,
        FloatingIpPools,
        ServerAddresses,
        Images,
        ImageMetadata,
        Volumes,
        Snapshots,
    ),
    envelope=envelope,
    versions=Microversions("compute", MINIMUM, MAXIMUM, legacy_header="X-OpenStack-Nova-API-Version"),
    style=Style(links="nova", admin_all=False, default_limit=1000),
    jobs=(
        CREATE,
        DELETE,
        *POWER_JOBS,
        ATTACH_VOLUME,
        DETACH_VOLUME,
        ATTACH_INTERFACE,
        DETACH_INTERFACE,
        CREATE_IMAGE,
        REBUILD,
        RESIZE,
        CONFIRM_RESIZE,
        REVERT_RESIZE,
        RESCUE,
        UNRESCUE,
        SHELVE,
        UNSHELVE,
    ),
    reconcilers=(ANNOUNCE_HOSTS, FORGET_OLD),
    quotas=COUNTABLES,
    options=(ComputeOptions,),
    rules=_RULES,
    reports=(("server", on_server),),
    questions=(("metadata", metadata), ("console", console)),
    seeds=(seed_flavors,),
)
