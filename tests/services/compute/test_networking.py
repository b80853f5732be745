# SPDX-License-Identifier: Apache-2.0
"""Network cards, addresses and security groups of servers."""

import pytest

from .people import words_of


def test_attach_and_detach_an_interface(member, cloud, agent, server):
    second = member.make_network("second", "10.1.0.0/24")
    made = member.post(f"/servers/{server}/os-interface", {"interfaceAttachment": {"net_id": second, "tag": "extra"}})
    assert made.status == 200, made.text
    card = made.json["interfaceAttachment"]
    assert card["net_id"] == second and card["tag"] == "extra" and card["fixed_ips"][0]["ip_address"].startswith("10.1")
    cloud.settle()
    assert [nic.port_id for nic in agent.spec_of(server).nics][1] == card["port_id"]
    assert agent.spec_of(server).nics[1].tag == "extra"
    cards = member.read(f"/servers/{server}/os-interface")["interfaceAttachments"]
    assert [one["port_state"] for one in cards] == ["ACTIVE", "ACTIVE"]
    assert set(member.read(f"/servers/{server}/ips")["addresses"]) == {"inside", "second"}
    assert member.read(f"/servers/{server}/ips/second")["second"][0]["version"] == 4
    assert member.get(f"/servers/{server}/ips/third").status == 404
    path = f"/servers/{server}/os-interface/{card['port_id']}"
    assert member.read(path)["interfaceAttachment"]["mac_addr"] == card["mac_addr"]
    assert member.delete(path).status == 202
    cloud.settle()
    assert member.get(path).status == 404 and len(agent.spec_of(server).nics) == 1
    assert len(member.ports_of(server)) == 1


def test_a_port_of_ones_own_survives_the_server(member, cloud, image, network):
    port = member.client.post("/network/v2.0/ports", {"port": {"network_id": network}}).json["port"]
    server = member.make_server(image, networks=[{"port": port["id"]}])
    bound = member.client.get(f"/network/v2.0/ports/{port['id']}").json["port"]
    assert bound["device_id"] == server and bound["status"] == "ACTIVE"
    member.delete(f"/servers/{server}")
    cloud.settle()
    free = member.client.get(f"/network/v2.0/ports/{port['id']}").json["port"]
    assert free["device_id"] == "" and free["status"] == "DOWN"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"interfaceAttachment": {"net_id": "bogus"}}, 400),
        ({"interfaceAttachment": {"fixed_ips": [{"ip_address": "10.0.0.9"}]}}, 400),
        ({"interfaceAttachment": {"net_id": "00000000-0000-0000-0000-000000000000"}}, 400),
        ({"other": {}}, 400),
    ],
)
def test_bad_interfaces(member, server, body, status):
    assert member.post(f"/servers/{server}/os-interface", body).status == status
    assert len(member.ports_of(server)) == 1


def test_security_groups(member, cloud, server):
    group = {"security_group": {"name": "web"}}
    assert member.client.post("/network/v2.0/security-groups", group).status == 201
    member.do(server, "addSecurityGroup", {"name": "web"})
    names = [one["name"] for one in member.show(server)["security_groups"]]
    assert sorted(names) == ["default", "web"]
    listed = member.read(f"/servers/{server}/os-security-groups")["security_groups"]
    assert sorted(one["name"] for one in listed) == ["default", "web"]
    member.do(server, "removeSecurityGroup", {"name": "default"})
    assert member.show(server)["security_groups"] == [{"name": "web"}]
    assert member.act(server, "removeSecurityGroup", {"name": "default"}).status == 404
    assert member.act(server, "addSecurityGroup", {"name": "nothing"}).status == 404


def test_a_server_without_cards(member, agent, image, network):
    server = member.make_server(image, networks="none")
    assert agent.spec_of(server).nics == [] and member.show(server)["addresses"] == {}
    assert "security_groups" not in member.show(server)


def test_a_fixed_address(member, image, network):
    nic = [{"uuid": network, "fixed_ip": "10.0.0.77"}]
    server = member.make_server(image, networks=nic)
    assert member.show(server)["addresses"]["inside"][0]["addr"] == "10.0.0.77"
    refused = member.try_server(image, networks=nic)
    assert refused.status == 400 and "already in use" in words_of(refused)
    assert [one["id"] for one in member.read("/servers?ip=10.0.0.77")["servers"]] == [server]
    assert member.read("/servers?ip=10.0.0.78")["servers"] == []
