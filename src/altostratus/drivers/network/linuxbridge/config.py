# SPDX-License-Identifier: Apache-2.0
"""Options of the linuxbridge driver."""

from dataclasses import dataclass
from pathlib import Path

from altostratus.contracts.network import PhysicalNetwork
from altostratus.drivers.network.linuxbridge.names import check_tag


@dataclass(frozen=True, kw_only=True)
class LinuxBridgeConfig:
    """How one cloud uses this host's network.

    `cloud_tag` is unique on the machine (derive it from the state directory): it names the shared
    namespaces and marks all others. `state_dir` holds dnsmasq's files and the list of namespaces.
    `tunnel_ip` is this host's own address for VXLAN; without it no network can span hosts.
    """

    cloud_tag: str
    state_dir: Path
    physical_networks: tuple[PhysicalNetwork, ...] = ()
    tunnel_ip: str | None = None
    vxlan_port: int = 4789
    dns_domain: str = "openstacklocal"
    lease_time_s: int = 86400
    metadata_workers: int = 8
    metadata_max_connections: int = 64

    def __post_init__(self) -> None:
        check_tag(self.cloud_tag)

    @property
    def hypervisor_netns(self) -> str:
        """Where all bridges and guests' taps live."""
        return f"alto-{self.cloud_tag}-hv"

    @property
    def world_netns(self) -> str:
        """Stands for everything outside the cloud."""
        return f"alto-{self.cloud_tag}-world"

    @property
    def probe_netns(self) -> str:
        """Made and removed while the kernel is probed."""
        return f"alto-{self.cloud_tag}-probe"

    @property
    def marker(self) -> str:
        """Alias of the loopback device in every namespace of this cloud: how we know our own."""
        return f"altostratus:{self.cloud_tag}"
