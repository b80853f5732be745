# SPDX-License-Identifier: Apache-2.0
"""Layer 2: bridges, tunnels, the outside world, DHCP namespaces and guests' devices."""

import ipaddress
from collections.abc import Iterable

from altostratus.contracts.network import NetworkSpec, PhysicalNetwork, PortSpec
from altostratus.drivers.network.linuxbridge import names
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.dhcp import dhcp_device
from altostratus.drivers.network.linuxbridge.model import (
    Fragment,
    Link,
    Listener,
    Namespace,
    Owner,
    Shaper,
)
from altostratus.drivers.network.linuxbridge.probe import Capabilities
from altostratus.drivers.network.linuxbridge.routers import addresses_of
from altostratus.drivers.network.linuxbridge.shaping import ifb_of

# no addresses of its own anywhere in the hypervisor namespace: bridges only carry frames
HYPERVISOR_SYSCTLS = (
    ("ipv4/ip_forward", "0"),
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
)
WORLD_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
)
DHCP_SYSCTLS = (
    ("ipv4/ip_forward", "0"),
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
)


def bridge_of(network: NetworkSpec) -> str:
    """Flat networks share the bridge of their physical network; all others have their own."""
    if network.network_type == "flat" and network.physical_network:
        return names.bridge_of_physical(network.physical_network)
    return names.bridge_of_network(network.id)


def plan_host_namespaces(config: LinuxBridgeConfig, capabilities: Capabilities) -> Fragment:
    """The two shared namespaces and a bridge per physical network."""
    bridge_filter = () if capabilities.br_netfilter is False else _bridge_filter_sysctls(capabilities)
    namespaces = (
        Namespace(name=config.hypervisor_netns, sysctls=(*HYPERVISOR_SYSCTLS, *bridge_filter)),
        Namespace(name=config.world_netns, sysctls=WORLD_SYSCTLS),
    )
    links = [
        Link(netns=config.hypervisor_netns, name="lo", kind="loopback"),
        Link(netns=config.world_netns, name="lo", kind="loopback"),
    ]
    for physical in config.physical_networks:
        bridge = names.bridge_of_physical(physical.name)
        links.append(Link(netns=config.hypervisor_netns, name=bridge, kind="bridge", mtu=1500))
        if physical.interface:
            links.append(Link(netns=config.hypervisor_netns, name=physical.interface, kind="card", master=bridge))
    return Fragment(namespaces=namespaces, links=tuple(links))


def _bridge_filter_sysctls(capabilities: Capabilities) -> tuple[tuple[str, str], ...]:
    # where the bridge family tracks by itself, frames must not take the detour through the inet hooks
    value = "1" if capabilities.conntrack == "mark" else "0"
    calls = [(f"bridge/bridge-nf-call-{family}", value) for family in ("iptables", "ip6tables")]
    return (*calls, ("bridge/bridge-nf-call-arptables", "0"))


def plan_segment(network: NetworkSpec, config: LinuxBridgeConfig, capabilities: Capabilities) -> tuple[Link, ...]:
    """Bridge and uplink of a network. Raises ValueError with a sentence when this host cannot have it."""
    netns, owner = config.hypervisor_netns, ("network", network.id)
    bridge = bridge_of(network)
    physical = _physical_of(network, config)
    if network.network_type == "flat":
        if physical is None:
            raise ValueError("a flat network needs a physical network")
        return ()
    links = [Link(netns=netns, name=bridge, kind="bridge", owner=owner, mtu=network.mtu)]
    if network.network_type == "vlan":
        if physical is None or network.segmentation_id is None:
            raise ValueError("a vlan network needs a physical network and a segmentation id")
        # without a real card nobody else can be on the segment, so a bridge is all of it
        if physical.interface:
            links.append(_vlan_link(network, physical, config, capabilities))
    elif network.network_type == "vxlan" and network.vxlan_peers:
        if config.tunnel_ip is None or not capabilities.vxlan or network.segmentation_id is None:
            raise ValueError("the network spans hosts, but this host has no tunnel address or no VXLAN in its kernel")
        links.append(
            Link(
                netns=netns,
                name=f"vxl{int(network.segmentation_id)}",
                kind="vxlan",
                owner=owner,
                mtu=network.mtu,
                master=bridge,
                vni=network.segmentation_id,
                remotes=frozenset(names.check_address(peer) for peer in network.vxlan_peers),
            )
        )
    return tuple(links)


def _physical_of(network: NetworkSpec, config: LinuxBridgeConfig) -> PhysicalNetwork | None:
    if network.physical_network is None:
        return None
    for physical in config.physical_networks:
        if physical.name == network.physical_network:
            return physical
    known = ", ".join(p.name for p in config.physical_networks) or "none"
    raise ValueError(f"physical network '{network.physical_network}' is not configured on this host (known: {known})")


def _vlan_link(
    network: NetworkSpec, physical: PhysicalNetwork, config: LinuxBridgeConfig, capabilities: Capabilities
) -> Link:
    if not capabilities.vlan:
        raise ValueError(
            "this kernel has no 802.1q devices (load the module 8021q), so vlan networks cannot be reached"
        )
    return Link(
        netns=config.hypervisor_netns,
        name=f"vl{network.segmentation_id}-{names.digest(physical.name)}",
        kind="vlan",
        owner=("network", network.id),
        master=bridge_of(network),
        vlan=network.segmentation_id,
        parent=names.bridge_of_physical(physical.name),
    )


def plan_world(networks: Iterable[NetworkSpec], config: LinuxBridgeConfig) -> Fragment:
    """The outside: a device on every physical network and on every other external network.

    It holds the gateway addresses of external subnets, unless a real card leads to the real gateway.
    """
    found: dict[str, tuple[str, str, int, set[str]]] = {}
    real: set[str] = set()
    for physical in config.physical_networks:
        bridge = names.bridge_of_physical(physical.name)
        if physical.interface:
            real.add(bridge)
        addresses = {str(ipaddress.ip_interface(address)) for address in physical.world_addresses}
        found[bridge] = (names.digest(physical.name), names.world_side(physical.name), 1500, addresses)
    for network in networks:
        if not network.external:
            continue
        bridge = bridge_of(network)
        label = names.digest(network.id)
        _, _, _, addresses = found.setdefault(bridge, (label, names.world_side(f"ext-{label}"), network.mtu, set()))
        if bridge not in real:
            addresses |= _gateway_addresses(network)
    links: list[Link] = []
    for bridge, (label, device, mtu, addresses) in found.items():
        inner, outer = (config.world_netns, device), (config.hypervisor_netns, f"wh-{label}")
        links.append(Link(netns=outer[0], name=outer[1], kind="veth", mtu=mtu, master=bridge, peer=inner))
        links.append(Link(netns=inner[0], name=inner[1], kind="end", mtu=mtu, addresses=frozenset(addresses)))
    return Fragment(links=tuple(links))


def _gateway_addresses(network: NetworkSpec) -> set[str]:
    return {
        str(ipaddress.ip_interface(f"{subnet.gateway_ip}/{ipaddress.ip_network(subnet.cidr, strict=False).prefixlen}"))
        for subnet in network.subnets
        if subnet.gateway_ip
    }


def plan_dhcp_place(network: NetworkSpec, config: LinuxBridgeConfig) -> Fragment:
    """Namespace and device from which DHCP and the metadata of isolated networks are served."""
    if network.dhcp is None:
        return Fragment()
    netns, owner = names.dhcp_netns(network.id), ("network", network.id)
    device = dhcp_device(network)
    addresses = addresses_of(network.dhcp.fixed_ips)
    mac = names.check_mac(network.dhcp.mac)
    return Fragment(
        namespaces=(Namespace(name=netns, owner=owner, sysctls=DHCP_SYSCTLS),),
        links=(
            Link(netns=netns, name="lo", kind="loopback", owner=owner),
            Link(
                netns=config.hypervisor_netns,
                name="vd-" + names.short(network.dhcp.port_id),
                kind="veth",
                owner=owner,
                mtu=network.mtu,
                master=bridge_of(network),
                peer=(netns, device),
            ),
            Link(
                netns=netns,
                name=device,
                kind="end",
                owner=owner,
                mtu=network.mtu,
                mac=mac,
                # on the device itself, so that a guest with a link-local route finds it by ARP as well
                addresses=addresses | {f"{names.METADATA_ADDRESS}/32"},
            ),
        ),
        listeners=(Listener(netns=netns, owner=owner),),
    )


def plan_tap(port: PortSpec, network: NetworkSpec, config: LinuxBridgeConfig, capabilities: Capabilities) -> Fragment:
    """A guest's device and its bandwidth limits."""
    tap = names.check_tap(port.tap)
    owner: Owner = ("port", port.id)
    link = Link(
        netns=config.hypervisor_netns,
        name=tap,
        kind="tap",
        owner=owner,
        mtu=network.mtu,
        master=bridge_of(network),
        up=port.admin_state_up and network.admin_state_up,
    )
    if not port.max_kbps_in and not port.max_kbps_out:
        return Fragment(links=(link,))
    shaper = Shaper(tap=tap, kbps_in=port.max_kbps_in or None, kbps_out=port.max_kbps_out or None, owner=owner)
    if not shaper.kbps_out or not capabilities.ifb:
        return Fragment(links=(link,), shapers=(shaper,))
    detour = Link(netns=config.hypervisor_netns, name=ifb_of(tap), kind="ifb", owner=owner)
    return Fragment(links=(link, detour), shapers=(shaper,))
