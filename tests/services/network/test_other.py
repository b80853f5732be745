# SPDX-License-Identifier: Apache-2.0
"""Agents, quotas, extensions, zones, address counts, versions."""

from typing import Any

from altostratus.services.network.reconcilers.hosts import sync_new_hosts

from .people import kind_of

ROOT = "/network/v2.0"


def test_agents(admin, member, inside, outside, cloud):
    agents = admin.client.get(f"{ROOT}/agents").json["agents"]
    assert {agent["binary"] for agent in agents} == {
        "neutron-linuxbridge-agent", "neutron-dhcp-agent", "neutron-l3-agent", "neutron-metadata-agent",
    }  # fmt: skip
    assert all(agent["alive"] and agent["host"] == "host-1" for agent in agents)
    assert member.client.get(f"{ROOT}/agents").json == {"agents": []}
    dhcp = next(agent for agent in agents if agent["binary"] == "neutron-dhcp-agent")
    path = f"{ROOT}/agents/{dhcp['id']}"
    assert admin.client.get(path).json["agent"] == dhcp
    changed = admin.client.put(path, {"agent": {"admin_state_up": False}}).json["agent"]
    assert changed["admin_state_up"] is False
    assert len(admin.client.get(f"{ROOT}/agents?admin_state_up=False").json["agents"]) == 1
    assert admin.client.get(f"{ROOT}/agents/none").status == 404
    member.make("port", network_id=inside[0]["id"])
    served = admin.client.get(path + "/dhcp-networks").json["networks"]
    assert [network["id"] for network in served] == [inside[0]["id"]]
    assert len(admin.client.get(f"{ROOT}/networks/{inside[0]['id']}/dhcp-agents").json["agents"]) == 1
    router = member.make("router")
    (l3,) = admin.client.get(f"{ROOT}/routers/{router['id']}/l3-agents").json["agents"]
    assert admin.client.get(f"{ROOT}/agents/{l3['id']}/l3-routers").json["routers"][0]["id"] == router["id"]


def test_quotas(admin, member, other):
    path = f"{ROOT}/quotas/{member.project_id}"
    limits = member.client.get(path).json["quota"]
    assert limits["port"] == 500 and limits["network"] == 100 and limits["security_group_rule"] == 100
    assert other.client.get(path).status == 403
    assert member.client.put(path, {"quota": {"port": 1}}).status == 403
    changed = admin.client.put(path, {"quota": {"port": "7", "router": -1}})
    assert changed.json["quota"]["port"] == 7 and changed.json["quota"]["router"] == -1
    assert admin.client.put(path, {"quota": {"port": -2}}).status == 400
    assert admin.client.put(path, {"quota": {"pork": 2}}).status == 400
    (listed,) = admin.client.get(f"{ROOT}/quotas").json["quotas"]
    assert listed["project_id"] == member.project_id and listed["port"] == 7
    member.make("network")
    details = member.client.get(path + "/details").json["quota"]
    assert details["network"] == {"limit": 100, "used": 1, "reserved": 0}
    refused = admin.client.put(path, {"quota": {"network": 0, "check_limit": True}})
    assert refused.status == 400
    assert admin.client.delete(path).status == 204
    assert member.client.get(path).json["quota"]["port"] == 500
    assert member.client.get(path + "/default").json["quota"]["port"] == 500


def test_extensions(member):
    aliases = {one["alias"] for one in member.client.get(f"{ROOT}/extensions").json["extensions"]}
    assert {"router", "security-group", "external-net", "quotas", "standard-attr-tag"} <= aliases
    assert member.client.get(f"{ROOT}/extensions/router").json["extension"]["alias"] == "router"
    missing = member.client.get(f"{ROOT}/extensions/teleport")
    assert missing.status == 404 and kind_of(missing) == "ExtensionNotFound"


def test_zones_and_providers(member):
    zones = member.client.get(f"{ROOT}/availability_zones").json["availability_zones"]
    assert {(zone["name"], zone["resource"], zone["state"]) for zone in zones} == {
        ("nova", "network", "available"), ("nova", "router", "available"),
    }  # fmt: skip
    assert (
        member.client.get(f"{ROOT}/service-providers").json["service_providers"][0]["service_type"] == "L3_ROUTER_NAT"
    )


def test_addresses_left(admin, member, inside):
    member.make("port", network_id=inside[0]["id"])
    shown = admin.client.get(f"{ROOT}/network-ip-availabilities/{inside[0]['id']}").json["network_ip_availability"]
    assert (shown["total_ips"], shown["used_ips"]) == (253, 2)
    assert shown["subnet_ip_availability"][0]["cidr"] == "10.0.0.0/24"
    listed = admin.client.get(f"{ROOT}/network-ip-availabilities?ip_version=6").json["network_ip_availabilities"]
    assert listed == []
    assert member.client.get(f"{ROOT}/network-ip-availabilities").status == 403


def test_versions(cloud):
    anybody = cloud.client(None)
    (version,) = anybody.get("/network/").json["versions"]
    assert version["id"] == "v2.0" and version["links"][0]["href"].endswith("/network/v2.0/")
    assert {one["collection"] for one in anybody.get("/network/v2.0").json["resources"]} >= {"networks", "ports"}
    refused = anybody.get(f"{ROOT}/networks")
    assert refused.status == 401 and refused.json["error"]["code"] == 401


def test_a_new_host_is_told_everything(member, inside, outside, cloud):
    member.make("port", network_id=inside[0]["id"])
    router = member.make("router", external_gateway_info={"network_id": outside["id"]})
    member.add_subnet(router["id"], inside[1]["id"])
    sync_new_hosts(cloud.cloud)
    cloud.cloud.desired.hello("host-2", ["network", "port", "security_group", "router"], {})
    sync_new_hosts(cloud.cloud)
    with cloud.cloud.db.read() as tx:
        first, second = (
            {(row.kind, row.id) for row in cloud.cloud.desired.list_host(tx, host)} for host in ("host-1", "host-2")
        )
        assert first == second and len(first) > 5
        dhcp = [row.spec["dhcp"] for row in cloud.cloud.desired.list_host(tx, "host-2") if row.kind == "network"]
        assert dhcp == [None, None]  # DHCP answers on one host only
    later = member.make("network")
    with cloud.cloud.db.read() as tx:
        assert ("network", later["id"]) in {(row.kind, row.id) for row in cloud.cloud.desired.list_host(tx, "host-2")}


def test_events(member, cloud):
    heard: list[dict[str, Any]] = []
    cloud.cloud.events.add_sink("test", heard.append)
    network = member.make("network", name="n")
    member.delete("network", network["id"])
    cloud.settle()
    told = [event for event in heard if event["event_type"].startswith("network.")]
    assert [event["event_type"] for event in told] == ["network.create.end", "network.delete.end"]
    assert told[0]["payload"]["network"]["name"] == "n"
