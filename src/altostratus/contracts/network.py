# SPDX-License-Identifier: Apache-2.0
"""What a host's network agent is asked for, and the driver below it.

Desired kinds: `network`, `port`, `security_group`, `router`. A spec carries everything that the
driver needs; it never asks a database.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec


class FixedIp(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a port. `prefix_length` is that of its subnet."""

    subnet_id: str
    ip_address: str
    prefix_length: int


class HostRoute(msgspec.Struct, frozen=True, kw_only=True):
    destination: str
    nexthop: str


class SubnetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet. `ra_mode` and `address_mode` are slaac, dhcpv6-stateful, dhcpv6-stateless or None."""

    id: str
    cidr: str
    ip_version: Literal[4, 6]
    gateway_ip: str | None
    enable_dhcp: bool
    dns_nameservers: list[str] = []
    host_routes: list[HostRoute] = []
    ra_mode: str | None = None
    address_mode: str | None = None


class DhcpPort(msgspec.Struct, frozen=True, kw_only=True):
    """The address that DHCP answers from, and where metadata listens on isolated networks."""

    port_id: str
    mac: str
    fixed_ips: list[FixedIp]


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `network`: a layer-2 segment on this host, with DHCP when `dhcp` is given."""

    id: str
    name: str
    project_id: str
    network_type: Literal["local", "flat", "vlan", "vxlan"]
    mtu: int
    physical_network: str | None = None
    segmentation_id: int | None = None
    external: bool = False
    admin_state_up: bool = True
    dns_domain: str = ""
    subnets: list[SubnetSpec] = []
    dhcp: DhcpPort | None = None
    # other hosts' tunnel addresses, when the network spans hosts
    vxlan_peers: list[str] = []


class AddressPair(msgspec.Struct, frozen=True, kw_only=True):
    ip_address: str
    mac_address: str


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `port`: a tap for a server, with its filters.

    `port_security` False: no anti-spoofing and no security groups. `security_groups` are ids of
    `security_group` rows. `tap` is the name of the device to create (`tap` + first 11 of the id).
    `plugged` False: only a DHCP reservation, no device here. `quarantined`: drop all traffic.
    """

    id: str
    network_id: str
    mac: str
    tap: str
    hostname: str = ""
    fixed_ips: list[FixedIp] = []
    admin_state_up: bool = True
    port_security: bool = True
    security_groups: list[str] = []
    allowed_address_pairs: list[AddressPair] = []
    dhcp_options: dict[str, str] = {}
    device_id: str = ""
    device_owner: str = ""
    plugged: bool = True
    quarantined: bool = False
    max_kbps_in: int | None = None
    max_kbps_out: int | None = None


class SecurityRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `protocol` is a name or number or None (any); for icmp the ports are type and code."""

    id: str
    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class SecurityGroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `security_group`. Members on this host are known from the port rows;
    `remote_members` are addresses of members on other hosts."""

    id: str
    rules: list[SecurityRule] = []
    remote_members: list[str] = []
    stateful: bool = True


class RouterInterface(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str
    mac: str
    fixed_ips: list[FixedIp]
    mtu: int = 1450
    # IPv6 subnets of this interface to announce by router advertisement
    ra_subnets: list[SubnetSpec] = []


class RouterGateway(msgspec.Struct, frozen=True, kw_only=True):
    """The external side. `gateway_ips` are the next hops, by IP version."""

    port_id: str
    network_id: str
    mac: str
    fixed_ips: list[FixedIp]
    gateway_ips: list[str]
    enable_snat: bool = True
    mtu: int = 1500


class FloatingIpSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    floating_ip_address: str
    fixed_ip_address: str
    port_id: str


class PortForwardingSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    floating_ip_address: str
    protocol: Literal["tcp", "udp"]
    external_port: int
    internal_ip_address: str
    internal_port: int


class RouterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `router`: a namespace `qrouter-<id>` with its interfaces, NAT and routes."""

    id: str
    name: str
    project_id: str
    admin_state_up: bool = True
    gateway: RouterGateway | None = None
    interfaces: list[RouterInterface] = []
    floating_ips: list[FloatingIpSpec] = []
    port_forwardings: list[PortForwardingSpec] = []
    routes: list[HostRoute] = []


class PhysicalNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A named outside segment that flat and vlan networks use.

    `world_addresses` ("192.168.100.1/24") are given to the host's own "world" namespace, which stands
    for everything outside the cloud; `interface` would be a real card (never set by default).
    """

    name: str
    world_addresses: list[str] = []
    interface: str | None = None


class NetworkWorld(msgspec.Struct, frozen=True, kw_only=True):
    """All that the driver must make true, as one value: the pure input of its plan."""

    networks: dict[str, NetworkSpec] = {}
    ports: dict[str, PortSpec] = {}
    security_groups: dict[str, SecurityGroupSpec] = {}
    routers: dict[str, RouterSpec] = {}


class PassResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one pass: an error sentence per (kind, id) that could not be made true."""

    errors: dict[tuple[str, str], str] = {}
    states: dict[tuple[str, str], dict[str, Any]] = {}


# A guest's HTTP request, already attributed to its network or router:
# by network_id or router_id, with ip, method, path, headers and body_base64;
# and the answer is status, headers and body_base64. Any exception is answered as 503.
MetadataLookup = Callable[[dict[str, Any]], dict[str, Any]]


class NetworkInfo(msgspec.Struct, frozen=True, kw_only=True):
    driver: str
    hypervisor_netns: str | None
    world_netns: str | None
    network_types: list[str]
    physical_networks: list[str]
    capabilities: list[str]
    simulated: bool = False
    # where other hosts reach this one with VXLAN; None: networks cannot span to this host
    tunnel_address: str | None = None


class NetworkDriver(Protocol):
    """Driver contract: one call makes the whole host match `world`, in one `ip -batch` and one `nft -f`."""

    def info(self) -> NetworkInfo: ...

    def apply(self, world: NetworkWorld, *, resync: bool) -> PassResult:
        """Converge. `resync` looks at the machine again instead of trusting the memory of earlier
        passes, and removes what no spec names."""

    def problems(self) -> list[str]:
        """Sentences about what broke since the last pass (a helper process died, a namespace is
        gone). Cheap enough for every few seconds; the answer to any problem is a pass with `resync`."""

    def serve_metadata(self, lookup: MetadataLookup) -> None:
        """Answer 169.254.169.254 in all networks and routers with `lookup` from now on."""

    def leases(self, network_id: str) -> list[dict[str, str]]:
        """DHCP leases: {"mac", "ip_address", "hostname", "expires_at_s"} (Unix time, "0" = never)."""

    def world_command(self, argv: list[str]) -> list[str]:
        """The command line that runs `argv` in the world namespace (for `alto ssh`)."""

    def remove_everything(self) -> None:
        """Delete every namespace, device and process of this cloud (for `alto down --purge`)."""

    def close(self) -> None: ...
