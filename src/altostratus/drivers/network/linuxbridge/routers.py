# SPDX-License-Identifier: Apache-2.0
"""Routers: a namespace with a device per interface, address translation and routes."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from altostratus.contracts.network import FixedIp, RouterGateway, RouterSpec
from altostratus.drivers.network.linuxbridge.dhcp import plan_router_advertisements
from altostratus.drivers.network.linuxbridge.model import (
    Announcement,
    ChainPlan,
    Fragment,
    Link,
    Listener,
    Namespace,
    Owner,
    Route,
    SetPlan,
    TablePlan,
)
from altostratus.drivers.network.linuxbridge.names import (
    METADATA_ADDRESS,
    check_address,
    check_cidr,
    check_mac,
    router_netns,
    short,
)

NAT_TABLE = "alto_nat"
GUARD_TABLE = "alto_guard"

ROUTER_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
)


def plan_router(router: RouterSpec, bridges: Mapping[str, str], directory: Path) -> Fragment:
    """Everything of one router. `bridges` maps network ids to bridges of `hypervisor` devices.

    Raises ValueError with a sentence when a network is not here or an address is malformed.
    """
    netns = router_netns(router.id)
    owner: Owner = ("router", router.id)
    links: list[Link] = [
        Link(netns=netns, name="lo", kind="loopback", owner=owner, addresses=frozenset({f"{METADATA_ADDRESS}/32"}))
    ]
    announcements: list[Announcement] = []
    for interface in router.interfaces:
        device = "qr-" + short(interface.port_id)
        _need(bridges, interface.network_id, "interface")
        links.append(
            Link(
                netns=netns,
                name=device,
                kind="end",
                owner=owner,
                mtu=interface.mtu,
                mac=check_mac(interface.mac),
                addresses=addresses_of(interface.fixed_ips),
            )
        )
        announcements += _announce(netns, device, interface.mac, [f.ip_address for f in interface.fixed_ips])
    routes = [
        Route(netns=netns, destination=check_cidr(r.destination), via=check_address(r.nexthop), owner=owner)
        for r in router.routes
    ]
    gateway = router.gateway
    if gateway is not None:
        _need(bridges, gateway.network_id, "gateway")
        device = gateway_device(gateway)
        floating = _floating_addresses(router)
        addresses = addresses_of(gateway.fixed_ips) | {f"{address}/32" for address in floating}
        mac = check_mac(gateway.mac)
        links.append(
            Link(netns=netns, name=device, kind="end", owner=owner, mtu=gateway.mtu, mac=mac, addresses=addresses)
        )
        announcements += _announce(netns, device, mac, [*(f.ip_address for f in gateway.fixed_ips), *floating])
        for text in gateway.gateway_ips:
            via = check_address(text)
            destination = "default6" if ":" in via else "default4"
            routes.append(Route(netns=netns, destination=destination, via=via, device=device, owner=owner))
    tables = [(netns, _guard_table(router)), (netns, plan_nat_table(router))]
    process = plan_router_advertisements(router, directory)
    return Fragment(
        namespaces=(Namespace(name=netns, owner=owner, sysctls=ROUTER_SYSCTLS),),
        links=tuple(links),
        routes=tuple(routes),
        tables=tuple(tables),
        processes=(process,) if process else (),
        listeners=(Listener(netns=netns, owner=owner),),
        announcements=tuple(announcements),
    )


def plan_router_cables(router: RouterSpec, bridges: Mapping[str, str], hypervisor: str) -> tuple[Link, ...]:
    """The hypervisor's halves of the router's devices."""
    netns = router_netns(router.id)
    sides = [(i.port_id, i.network_id, "qr-", i.mtu) for i in router.interfaces]
    if router.gateway is not None:
        sides.append((router.gateway.port_id, router.gateway.network_id, "qg-", router.gateway.mtu))
    return tuple(
        Link(
            netns=hypervisor,
            name="vr-" + short(port_id),
            kind="veth",
            owner=("router", router.id),
            mtu=mtu,
            master=bridges[network_id],
            peer=(netns, prefix + short(port_id)),
        )
        for port_id, network_id, prefix, mtu in sides
    )


def gateway_device(gateway: RouterGateway) -> str:
    return "qg-" + short(gateway.port_id)


def addresses_of(fixed_ips: list[FixedIp]) -> frozenset[str]:
    """Addresses with prefix lengths, canonical. Raises ValueError."""
    return frozenset(str(ipaddress.ip_interface(f"{f.ip_address}/{f.prefix_length}")) for f in fixed_ips)


def _need(bridges: Mapping[str, str], network_id: str, what: str) -> None:
    if network_id not in bridges:
        raise ValueError(f"the network {network_id} of its {what} is not on this host")


def _announce(netns: str, device: str, mac: str, addresses: list[str]) -> list[Announcement]:
    return [
        Announcement(netns=netns, device=device, mac=check_mac(mac), address=check_address(address))
        for address in addresses
        if ":" not in address
    ]


def _floating_addresses(router: RouterSpec) -> list[str]:
    addresses = [f.floating_ip_address for f in router.floating_ips]
    addresses += [f.floating_ip_address for f in router.port_forwardings]
    return sorted({check_address(address) for address in addresses})


def _guard_table(router: RouterSpec) -> TablePlan:
    """Keeps what is for us alone from others: metadata from outside, DHCP from the announcing dnsmasq."""
    rules = ["udp dport { 67, 547 } drop"]
    if router.gateway is not None:
        rules.append(f'iifname "{gateway_device(router.gateway)}" ip daddr {METADATA_ADDRESS} drop')
    chain = ChainPlan(
        rules=tuple(rules), owner=("router", router.id), hook="type filter hook input priority 0; policy accept;"
    )
    return TablePlan(family="inet", name=GUARD_TABLE, sets={}, chains={"input": chain})


def plan_nat_table(router: RouterSpec) -> TablePlan:
    """Floating IPs both ways, port forwardings, source translation, and guests that call a neighbour
    by its floating IP (such a caller is seen under its own floating IP, or the router's address)."""
    owner: Owner = ("router", router.id)
    floating = {check_address(f.floating_ip_address): check_address(f.fixed_ip_address) for f in router.floating_ips}
    to_fixed: dict[str, Owner] = {f"{outer} : {inner}": owner for outer, inner in floating.items()}
    # a guest with two floating IPs calls out under the first
    callers = {inner: outer for outer, inner in sorted(floating.items(), reverse=True)}
    to_floating: dict[str, Owner] = {f"{inner} : {outer}": owner for inner, outer in callers.items()}
    forwards: dict[str, dict[str, Owner]] = {"tcp": {}, "udp": {}}
    for forward in router.port_forwardings:
        outer, inner = check_address(forward.floating_ip_address), check_address(forward.internal_ip_address)
        element = f"{outer} . {int(forward.external_port)} : {inner} . {int(forward.internal_port)}"
        forwards[forward.protocol][element] = owner
    sets = {
        "to_fixed": SetPlan(kind="map", typed="type ipv4_addr : ipv4_addr;", elements=to_fixed),
        "to_floating": SetPlan(kind="map", typed="type ipv4_addr : ipv4_addr;", elements=to_floating),
    }
    into = ["dnat to ip daddr map @to_fixed"]
    for protocol, elements in forwards.items():
        name = f"forward_{protocol}"
        typed = "type ipv4_addr . inet_service : ipv4_addr . inet_service;"
        sets[name] = SetPlan(kind="map", typed=typed, elements=elements)
        into.append(f"dnat ip addr . port to ip daddr . {protocol} dport map @{name}")
    chains = {
        "prerouting": ChainPlan(
            rules=tuple(into), owner=owner, hook="type nat hook prerouting priority -100; policy accept;"
        ),
        "postrouting": ChainPlan(
            rules=_outward_rules(router), owner=owner, hook="type nat hook postrouting priority 100; policy accept;"
        ),
    }
    return TablePlan(family="ip", name=NAT_TABLE, sets=sets, chains=chains)


def _outward_rules(router: RouterSpec) -> tuple[str, ...]:
    gateway = router.gateway
    if gateway is None:
        return ()
    device = gateway_device(gateway)
    own = [check_address(f.ip_address) for f in gateway.fixed_ips if ":" not in f.ip_address]
    rules = []
    neighbour = f'iifname != "{device}" oifname != "{device}" ct status dnat'
    rules.append(f"{neighbour} snat to ip saddr map @to_floating")
    if own:
        rules.append(f"{neighbour} snat to {own[0]}")
    rules += [f'oifname != "{device}" accept', "snat to ip saddr map @to_floating"]
    if own and gateway.enable_snat:
        rules.append(f"ip saddr != {own[0]} snat to {own[0]}")
    return tuple(rules)
