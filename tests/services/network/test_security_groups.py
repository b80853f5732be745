# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules."""

import pytest

from .people import kind_of, words_of


@pytest.fixture
def group(member):
    return member.make("security_group", name="web", description="d")


def test_default_group(member, other, admin):
    (default,) = member.list("security_group")
    assert default["name"] == "default" and default["description"] == "Default security group"
    rules = {
        (rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in default["security_group_rules"]
    }
    assert rules == {
        ("egress", "IPv4", None), ("egress", "IPv6", None), ("ingress", "IPv4", default["id"]),
        ("ingress", "IPv6", default["id"]),
    }  # fmt: skip
    assert member.list("security_group") == [default]
    assert kind_of(member.try_make("security_group", name="default")) == "SecurityGroupDefaultAlreadyExists"
    assert kind_of(member.try_delete("security_group", default["id"])) == "SecurityGroupCannotRemoveDefault"
    assert kind_of(member.try_set("security_group", default["id"], name="x")) == "SecurityGroupCannotUpdateDefault"
    assert member.try_set("security_group", default["id"], name="x").status == 409
    assert member.set("security_group", default["id"], description="x")["description"] == "x"
    assert other.client.get(other.path("security_group", default["id"])).status == 404


def test_whole_life(member, group, cloud, agent, inside):
    assert len(group["security_group_rules"]) == 2 and group["stateful"] is True
    rule = member.make(
        "security_group_rule",
        security_group_id=group["id"],
        direction="ingress",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix="10.0.0.5/24",
    )
    assert rule["normalized_cidr"] == "10.0.0.0/24" and rule["ethertype"] == "IPv4"
    cloud.settle()
    wanted = next(one for one in agent.seen["security_group", group["id"]].spec["rules"] if one["id"] == rule["id"])
    assert (wanted["protocol"], wanted["port_min"], wanted["remote_ip_prefix"]) == ("tcp", 22, "10.0.0.5/24")
    assert member.show("security_group_rule", rule["id"]) == rule
    port = member.make("port", network_id=inside[0]["id"], security_groups=[group["id"]])
    refused = member.try_delete("security_group", group["id"])
    assert refused.status == 409 and kind_of(refused) == "SecurityGroupInUse" and port["id"] in words_of(refused)
    member.delete("security_group_rule", rule["id"])
    member.delete("port", port["id"])
    member.delete("security_group", group["id"])
    cloud.settle()
    assert ("security_group", group["id"]) not in agent.seen


@pytest.mark.parametrize(
    ("wish", "status", "kind"),
    [
        ({"protocol": "carrier-pigeon"}, 400, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 300}, 400, "SecurityGroupRuleInvalidProtocol"),
        ({"port_range_min": 22, "port_range_max": 22}, 400, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "tcp", "port_range_min": 30, "port_range_max": 20}, 400, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 20}, 400, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": 70000}, 400, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": -16, "port_range_max": 80}, 400, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_max": 6}, 400, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 6}, 400, "SecurityGroupInvalidPortRange"),
        ({"protocol": "icmp", "port_range_min": 300}, 400, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 3}, 400, "SecurityGroupMissingIcmpType"),
        ({"protocol": "vrrp", "port_range_min": 3}, 400, "SecurityGroupInvalidProtocolForPort"),
        ({"protocol": "icmpv6"}, 400, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"remote_ip_prefix": "ten"}, 400, "InvalidCIDR"),
        ({"remote_ip_prefix": "fd00::/64"}, 400, "SecurityGroupRuleParameterConflict"),
        ({"direction": "sideways"}, 400, "InvalidInput"),
        ({"ethertype": "IPv5"}, 400, "InvalidInput"),
        ({"remote_group_id": "11111111-1111-1111-1111-111111111111"}, 404, "SecurityGroupNotFound"),
        ({"remote_group_id": "bad_group_id"}, 404, "SecurityGroupNotFound"),
        ({"security_group_id": "11111111-1111-1111-1111-111111111111"}, 404, "SecurityGroupNotFound"),
    ],
)
def test_rules_that_cannot_be(member, group, wish, status, kind):
    refused = member.try_make(
        "security_group_rule", **({"security_group_id": group["id"], "direction": "ingress"} | wish)
    )
    assert (refused.status, kind_of(refused)) == (status, kind), refused.text


def test_second_default_group_by_renaming(member, group):
    refused = member.try_set("security_group", group["id"], name="Default")
    assert refused.status == 409 and kind_of(refused) == "SecurityGroupDefaultAlreadyExists"


def test_prefix_or_group(member, group):
    wish = {"security_group_id": group["id"], "direction": "ingress", "remote_ip_prefix": "10.0.0.1"}
    both = member.try_make("security_group_rule", **wish, remote_group_id=group["id"])
    assert kind_of(both) == "SecurityGroupRemoteGroupAndRemoteIpPrefix"
    assert member.make("security_group_rule", **wish)["remote_ip_prefix"] == "10.0.0.1/32"


def test_duplicates(member, group):
    wish = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    wish |= {"port_range_min": 80, "port_range_max": 80}
    first = member.make("security_group_rule", **wish)
    again = member.try_make("security_group_rule", **wish | {"protocol": "6", "remote_ip_prefix": "0.0.0.0/0"})
    assert again.status == 409 and kind_of(again) == "SecurityGroupRuleExists" and first["id"] in words_of(again)
    bulk = [wish | {"port_range_max": 443}, wish | {"port_range_max": 443}]
    refused = member.client.post("/network/v2.0/security-group-rules", {"security_group_rules": bulk})
    assert refused.status == 409
    assert len(member.list("security_group_rule", f"security_group_id={group['id']}")) == 3


def test_any_protocol_and_numbers(member, group):
    wish = {"security_group_id": group["id"], "direction": "ingress"}
    assert member.make("security_group_rule", **wish, protocol="any")["protocol"] is None
    assert member.make("security_group_rule", **wish, protocol=112)["protocol"] == "112"
    assert member.make("security_group_rule", **wish, ethertype="ipv6", protocol="icmp")["ethertype"] == "IPv6"


def test_group_of_others(member, other, group, admin):
    wish = {"security_group_id": group["id"], "direction": "ingress"}
    assert other.try_make("security_group_rule", **wish).status == 404
    rule = member.list("security_group_rule", f"security_group_id={group['id']}")[0]
    assert other.try_delete("security_group_rule", rule["id"]).status == 404
    assert other.try_delete("security_group", group["id"]).status == 404
    assert admin.show("security_group_rule", rule["id"]) == rule
    theirs = other.list("security_group")[0]
    refused = member.try_make("security_group_rule", **wish, remote_group_id=theirs["id"])
    assert refused.status == 404


def test_group_that_others_name_goes(member, group, cloud, agent):
    friend = member.make("security_group", name="friend")
    member.make("security_group_rule", security_group_id=group["id"], direction="ingress", remote_group_id=friend["id"])
    member.delete("security_group", friend["id"])
    cloud.settle()
    assert all(not rule["remote_group_id"] for rule in agent.seen["security_group", group["id"]].spec["rules"])


def test_stateful(member, group, inside):
    assert member.set("security_group", group["id"], stateful=False)["stateful"] is False
    member.make("port", network_id=inside[0]["id"], security_groups=[group["id"]])
    assert kind_of(member.try_set("security_group", group["id"], stateful=True)) == "SecurityGroupInUse"


def test_quota(admin, member, group):
    path = f"/network/v2.0/quotas/{member.project_id}"
    admin.client.put(path, {"quota": {"security_group": 2, "security_group_rule": 6}})
    assert kind_of(member.try_make("security_group", name="more")) == "OverQuota"
    wish = {"security_group_id": group["id"], "direction": "ingress"}
    assert kind_of(member.try_make("security_group_rule", **wish)) == "OverQuota"


def test_list_costs_constant_queries(member, cloud, group):
    member.list("security_group")
    few = cloud.count_queries(lambda: member.list("security_group"))
    member.make("security_group", name="more")
    assert cloud.count_queries(lambda: member.list("security_group")) == few
