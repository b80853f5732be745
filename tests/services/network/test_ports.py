# SPDX-License-Identifier: Apache-2.0
"""Ports: addresses, MACs, security, bindings."""

import pytest

from .people import kind_of, words_of


def test_create_show_set_delete(member, inside, cloud, agent):
    network, subnet = inside
    port = member.make("port", network_id=network["id"], name="p")
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.3"}]
    assert port["mac_address"].startswith("fa:16:3e:") and port["status"] == "DOWN"
    assert len(port["security_groups"]) == 1 and port["port_security_enabled"] is True
    assert port["dns_assignment"][0]["hostname"] == "host-10-0-0-3"
    assert "binding:host_id" not in port and port["binding:vnic_type"] == "normal"
    assert member.show("port", port["id"]) == port
    cloud.settle()
    spec = agent.seen["port", port["id"]].spec
    assert not spec["plugged"] and spec["fixed_ips"][0]["ip_address"] == "10.0.0.3"
    changed = member.set("port", port["id"], name="q", admin_state_up=False, dns_name="web")
    assert changed["revision_number"] == 1 and changed["dns_assignment"][0]["fqdn"] == "web.openstacklocal."
    member.delete("port", port["id"])
    cloud.settle()
    assert ("port", port["id"]) not in agent.seen
    again = member.make("port", network_id=network["id"])
    assert again["fixed_ips"][0]["ip_address"] == "10.0.0.4"  # what was just freed rests


def test_prepared_port(member, inside):
    network, _ = inside
    wish = {"fixed_ips": [{"ip_address": "10.0.0.77"}], "mac_address": "FA-16-3E-11-22-33"}
    port = member.make("port", network_id=network["id"], **wish)
    assert port["fixed_ips"][0]["ip_address"] == "10.0.0.77" and port["mac_address"] == "fa:16:3e:11:22:33"
    assert (
        kind_of(member.try_make("port", network_id=network["id"], mac_address=wish["mac_address"])) == "MacAddressInUse"
    )
    taken = member.try_make("port", network_id=network["id"], fixed_ips=wish["fixed_ips"])
    assert taken.status == 409 and kind_of(taken) == "IpAddressAlreadyAllocated"


def test_multicast_mac_is_refused_and_explained(member, inside):
    refused = member.try_make("port", network_id=inside[0]["id"], mac_address="11:22:33:44:55:66")
    assert refused.status == 400
    assert "expected unicast mac address, found multicast" in words_of(refused)
    assert "10:22:33:44:55:66" in words_of(refused)


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"mac_address": "zz"}, 400, "not a valid MAC"),
        ({"mac_address": "00:00:00:00:00:00"}, 400, "zero"),
        ({"fixed_ips": [{"ip_address": "ten"}]}, 400, "valid IP"),
        ({"fixed_ips": [{"ip_address": "10.9.0.3"}]}, 400, "any of the subnets"),
        ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "broadcast"),
        ({"fixed_ips": [{"subnet_id": "nothing"}]}, 400, "invalid subnet"),
        ({"fixed_ips": [{}]}, 400, "requires"),
        ({"fixed_ips": [{"ip_address": "10.0.0.8"}, {"ip_address": "10.0.0.8"}]}, 400, "Duplicate"),
        ({"fixed_ips": [{"ip_address": f"10.0.0.{n}"} for n in range(10, 30)]}, 400, "maximum amount"),
        ({"fixed_ips": [{"color": "red"}]}, 400, "color"),
        ({"security_groups": ["11111111-1111-1111-1111-111111111111"]}, 404, "Security group"),
        ({"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}, 409, "Security"),
        ({"allowed_address_pairs": [{"ip_address": "ten"}]}, 400, "valid IP"),
        ({"allowed_address_pairs": [{"ip_address": "10.0.0.9"}] * 2}, 400, "duplicate"),
        ({"allowed_address_pairs": [{"ip_address": f"10.0.0.{n}"} for n in range(11)]}, 400, "maximum"),
        ({"extra_dhcp_opts": [{"opt_name": "a\nb", "opt_value": "c"}]}, 400, "one line"),
        ({"dns_name": "-bad-"}, 400, "dns_name"),
        ({"binding:vnic_type": "teleport"}, 400, "vnic_type"),
        ({"binding:host_id": "h"}, 403, "create_port:binding:host_id"),
        ({"binding:profile": {"a": 1}}, 403, "create_port:binding:profile"),
        ({"nonsense": 1}, 400, "nonsense"),
        ({"device_owner": "network:router_interface", "device_id": "x"}, 409, "device_id"),
        ({"network_id": "11111111-1111-1111-1111-111111111111"}, 404, "Network"),
    ],
)
def test_what_cannot_be(member, inside, wish, status, words):
    refused = member.try_make("port", **({"network_id": inside[0]["id"]} | wish))
    assert refused.status == status, refused.text
    assert words in words_of(refused)
    assert [port for port in member.list("port") if port["device_owner"] != "network:dhcp"] == []


def test_several_addresses(member, inside):
    network, subnet = inside
    second = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.1.0/24")
    wish = [{"subnet_id": subnet["id"]}, {"subnet_id": second["id"]}, {"subnet_id": subnet["id"]}]
    port = member.make("port", network_id=network["id"], fixed_ips=wish)
    assert len({one["ip_address"] for one in port["fixed_ips"]}) == 3
    kept = port["fixed_ips"][0]
    changed = member.set("port", port["id"], fixed_ips=[kept, {"ip_address": "10.0.1.99"}])
    assert {one["ip_address"] for one in changed["fixed_ips"]} == {kept["ip_address"], "10.0.1.99"}
    assert member.set("port", port["id"], fixed_ips=[])["fixed_ips"] == []
    member.make("port", network_id=network["id"], fixed_ips=[kept])


def test_pools_run_out_and_wrap_around(member):
    network = member.make("network")
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/29", enable_dhcp=False)
    ports = [member.make("port", network_id=network["id"]) for _ in range(5)]
    refused = member.try_make("port", network_id=network["id"])
    assert refused.status == 409 and kind_of(refused) == "IpAddressGenerationFailure"
    member.delete("port", ports[1]["id"])
    again = member.make("port", network_id=network["id"])
    assert again["fixed_ips"] == ports[1]["fixed_ips"]


def test_both_versions(member, inside):
    network, _ = inside
    member.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64", enable_dhcp=False)
    port = member.make("port", network_id=network["id"])
    assert [":" in one["ip_address"] for one in port["fixed_ips"]] == [False, True]


def test_security(member, inside, cloud, agent):
    network, _ = inside
    group = member.make("security_group", name="g")
    port = member.make("port", network_id=network["id"], security_groups=[group["id"]])
    assert port["security_groups"] == [group["id"]]
    assert len(member.list("port", f"security_groups={group['id']}")) == 1
    refused = member.try_set("port", port["id"], port_security_enabled=False)
    assert refused.status == 409 and kind_of(refused) == "PortSecurityPortHasSecurityGroup"
    open_port = member.set("port", port["id"], port_security_enabled=False, security_groups=[])
    assert open_port["port_security_enabled"] is False and open_port["security_groups"] == []
    refused = member.try_set("port", port["id"], security_groups=[group["id"]])
    assert refused.status == 400 and kind_of(refused) == "PortSecurityAndIPRequiredForSecurityGroups"
    member.delete("security_group", group["id"])
    cloud.settle()
    assert agent.seen["port", port["id"]].spec["port_security"] is False


def test_insecure_network(member):
    network = member.make("network", port_security_enabled=False)
    port = member.make("port", network_id=network["id"])
    assert port["port_security_enabled"] is False and port["security_groups"] == []
    assert port["fixed_ips"] == [] and port["ip_allocation"] == "none"


def test_pairs_and_options(member, inside):
    port = member.make(
        "port",
        network_id=inside[0]["id"],
        allowed_address_pairs=[
            {"ip_address": "10.0.0.200"},
            {"ip_address": "10.7.0.0/16", "mac_address": "02:00:00:00:00:01"},
        ],
        extra_dhcp_opts=[
            {"opt_name": "mtu", "opt_value": "1400"},
            {"opt_name": "tftp-server", "opt_value": "10.0.0.5"},
        ],
    )
    assert port["allowed_address_pairs"][0] == {"ip_address": "10.0.0.200", "mac_address": port["mac_address"]}
    changed = member.set("port", port["id"], extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": None}])
    assert changed["extra_dhcp_opts"] == [{"opt_name": "tftp-server", "opt_value": "10.0.0.5", "ip_version": 4}]
    assert member.set("port", port["id"], allowed_address_pairs=[])["allowed_address_pairs"] == []


def test_binding_is_for_administrators(admin, member, inside):
    port = member.make("port", network_id=inside[0]["id"])
    changed = admin.set("port", port["id"], **{"binding:host_id": "host-1", "binding:profile": {"a": 1}})
    assert changed["binding:vif_type"] == "bridge" and changed["binding:profile"] == {"a": 1}
    assert changed["binding:vif_details"]["tap"] == ("tap" + port["id"])[:14]
    assert admin.set("port", port["id"], **{"binding:host_id": ""})["binding:vif_type"] == "unbound"
    assert member.try_set("port", port["id"], **{"binding:host_id": "host-1"}).status == 403


def test_new_mac(admin, member, inside):
    port = member.make("port", network_id=inside[0]["id"])
    assert member.try_set("port", port["id"], mac_address="fa:16:3e:00:00:09").status == 403  # managers may
    assert admin.set("port", port["id"], mac_address="fa:16:3e:00:00:09")["mac_address"] == "fa:16:3e:00:00:09"
    assert admin.set("port", port["id"], mac_address=None)["mac_address"] != "fa:16:3e:00:00:09"


def test_shared_networks(admin, other, member):
    network = admin.make("network", shared=True)
    subnet = admin.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    port = other.make("port", network_id=network["id"], fixed_ips=[{"subnet_id": subnet["id"]}])
    assert other.try_make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}]).status == 403
    assert other.try_make("port", network_id=network["id"], mac_address="fa:16:3e:00:00:09").status == 403
    assert member.client.get(member.path("port", port["id"])).status == 404
    assert admin.show("port", port["id"])["project_id"] == other.project_id


def test_owners_of_a_network_see_its_ports(admin, member, inside):
    port = admin.make("port", network_id=inside[0]["id"])
    assert member.show("port", port["id"])["project_id"] == admin.project_id
    assert port["id"] in {one["id"] for one in member.list("port")}
    assert member.try_set("port", port["id"], name="x").status == 403
    member.delete("port", port["id"])


def test_filters(member, inside, other):
    network, subnet = inside
    first = member.make("port", network_id=network["id"], name="a", device_id="d", tags=["red"])
    member.make("port", network_id=network["id"], name="b")

    def found(query):
        return [one["name"] for one in member.list("port", query + "&device_owner=")]

    assert found("fixed_ips=ip_address=10.0.0.3") == ["a"]
    assert found(f"fixed_ips=subnet_id={subnet['id']}&sort_key=name") == ["a", "b"]
    assert found("fixed_ips=ip_address_substr=0.0.4") == ["b"]
    assert found("device_id=d") == ["a"] and found("device_id=") == ["b"]
    assert found("tags=red") == ["a"]
    assert found(f"mac_address={first['mac_address']}") == ["a"]
    assert found(f"network_id={network['id']}&sort_key=name&limit=1") == ["a"]
    assert member.list("port", "fields=id&name=a") == [{"id": first["id"]}]
    assert other.list("port") == []


def test_lists_are_never_stale(member, admin, inside):
    port = member.make("port", network_id=inside[0]["id"], name="a")
    for name in ("b", "c"):
        assert [one["name"] for one in member.list("port", f"id={port['id']}")] == [port["name"]]
        port = member.set("port", port["id"], name=name)
    assert member.list("port", f"id={port['id']}") == [member.show("port", port["id"])]
    assert admin.list("port", f"id={port['id']}") == [admin.show("port", port["id"])]
    assert "binding:host_id" in admin.list("port")[0] and "binding:host_id" not in member.list("port")[0]


def test_bulk(member, inside):
    network, _ = inside
    wishes = [{"network_id": network["id"], "name": name, "tags": ["t"]} for name in "ab"]
    made = member.client.post("/network/v2.0/ports", {"ports": wishes})
    assert made.status == 201 and [one["tags"] for one in made.json["ports"]] == [["t"], ["t"]]
    refused = member.client.post(
        "/network/v2.0/ports", {"ports": [*wishes, {"network_id": network["id"], "mac_address": "x"}]}
    )
    assert refused.status == 400 and len(member.list("port", "tags=t")) == 2


def test_quota(admin, member, inside):
    admin.client.put(f"/network/v2.0/quotas/{member.project_id}", {"quota": {"port": 2}})
    member.make("port", network_id=inside[0]["id"])  # and the DHCP port
    refused = member.try_make("port", network_id=inside[0]["id"])
    assert refused.status == 409 and kind_of(refused) == "OverQuota"


def test_creating_is_cheap_in_a_big_network(member, inside, cloud):
    network, _ = inside
    member.make("port", network_id=network["id"])
    few = cloud.count_queries(lambda: member.make("port", network_id=network["id"]))
    for _ in range(5):
        member.client.post("/network/v2.0/ports", {"ports": [{"network_id": network["id"]}] * 4})
    assert cloud.count_queries(lambda: member.make("port", network_id=network["id"])) == few
    listed = cloud.count_queries(lambda: member.list("port"))
    member.make("port", network_id=network["id"])
    assert cloud.count_queries(lambda: member.list("port")) <= listed + 1
