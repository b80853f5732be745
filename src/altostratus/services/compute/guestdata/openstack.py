# SPDX-License-Identifier: Apache-2.0
"""The OpenStack documents: `meta_data.json` and its neighbours, as every cloud-init reads them."""

from typing import Any, Final

from altostratus.services.compute.guestdata.facts import Facts, random_seed

VERSIONS: Final = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
)
_BUS_NAMES: Final = {"virtio": "virtio", "scsi": "scsi", "sata": "sata", "ide": "ide", None: "virtio"}


def meta_data(facts: Facts) -> dict[str, Any]:
    """`meta_data.json`."""
    server = facts.server
    found: dict[str, Any] = {
        "uuid": server.id,
        "hostname": facts.hostname,
        "name": server.name,
        "launch_index": server.launch_index,
        "availability_zone": server.availability_zone,
        "project_id": server.project_id,
        "random_seed": random_seed(),
        "devices": devices(facts),
        "dedicated_cpus": [],
    }
    if server.custom_metadata:
        found["meta"] = server.custom_metadata
    key = server.key_data
    if key:
        found["public_keys"] = {key["name"]: key["public_key"].rstrip("\n") + "\n"}
        found["keys"] = [{"name": key["name"], "type": key["type"], "data": key["public_key"].rstrip("\n") + "\n"}]
    if server.personality:
        found["files"] = [
            {"path": one.get("path", ""), "content_path": f"/content/{place:04d}"}
            for place, one in enumerate(server.personality)
        ]
    return found


def devices(facts: Facts) -> list[dict[str, Any]]:
    """Cards and disks that were given a tag."""
    tags = {one.get("bound"): one.get("tag") for one in facts.server.requested_nics}
    found: list[dict[str, Any]] = [
        {
            "type": "nic",
            "bus": "none",
            "address": "none",
            "mac": port.mac,
            "tags": [tags[port.id]],
            "vf_trusted": False,
        }
        for port in facts.ports
        if tags.get(port.id)
    ]
    found += [
        {
            "type": "disk",
            "bus": _BUS_NAMES.get(one.disk_bus, "virtio"),
            "address": "none",
            "serial": one.volume_id or one.id,
            "path": f"/dev/{one.device_name}",
            "tags": [one.tag],
        }
        for one in facts.devices
        if one.tag
    ]
    return found


def network_data(facts: Facts) -> dict[str, Any]:
    """`network_data.json`: a link for each card, a network for each of its addresses."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: list[dict[str, str]] = []
    for port in facts.ports:
        links.append(
            {
                "id": port.tap,
                "vif_id": port.id,
                "type": "bridge",
                "mtu": port.mtu,
                "ethernet_mac_address": port.mac,
            }
        )
        for ip, subnet_id, version in port.fixed_ips:
            subnet = facts.subnets.get(subnet_id)
            if subnet is None:
                continue
            servers = [{"type": "dns", "address": address} for address in subnet.dns_nameservers]
            services += [one for one in servers if one not in services]
            one = {"id": f"network{len(networks)}", "link": port.tap, "network_id": port.network_id}
            networks.append({**one, **_addressing(subnet, ip, version, servers)})
    return {"links": links, "networks": networks, "services": services}


def _addressing(subnet: Any, ip: str, version: int, servers: list[dict[str, str]]) -> dict[str, Any]:
    if version == 4 and subnet.enable_dhcp:
        return {"type": "ipv4_dhcp"}
    if version == 6 and subnet.ipv6_address_mode:
        mode = subnet.ipv6_address_mode
        return {"type": "ipv6_slaac" if mode == "slaac" else f"ipv6_{mode}"} | _static(subnet, ip, version, servers)
    return {"type": f"ipv{version}"} | _static(subnet, ip, version, servers)


def _static(subnet: Any, ip: str, version: int, servers: list[dict[str, str]]) -> dict[str, Any]:
    length = int(subnet.cidr.partition("/")[2])
    anywhere = "0.0.0.0" if version == 4 else "::"
    routes = []
    if subnet.gateway_ip:
        routes.append({"network": anywhere, "netmask": anywhere, "gateway": subnet.gateway_ip})
    for route in subnet.host_routes:
        network, _, size = route["destination"].partition("/")
        routes.append({"network": network, "netmask": netmask(int(size), version), "gateway": route["nexthop"]})
    return {"ip_address": ip, "netmask": netmask(length, version), "routes": routes, "services": servers}


def netmask(length: int, version: int) -> str:
    """The mask of a prefix length, written out."""
    if version == 4:
        bits = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        return ".".join(str(bits >> shift & 0xFF) for shift in (24, 16, 8, 0))
    bits = ((1 << 128) - 1) << (128 - length) & ((1 << 128) - 1)
    groups = [f"{bits >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
    text = ":".join(groups)
    return text if length == 128 else text[: text.index(":0")] + "::" if ":0" in text else text
