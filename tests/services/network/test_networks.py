# SPDX-License-Identifier: Apache-2.0
"""Networks and their segments."""

import pytest

from .people import kind_of, words_of


def test_create_show_set_delete(member, agent, cloud):
    network = member.make("network", name="n", description="d")
    assert network["mtu"] == 1450 and network["status"] == "ACTIVE" and network["subnets"] == []
    assert network["tenant_id"] == network["project_id"] == member.project_id
    assert network["created_at"].endswith("Z") and network["revision_number"] == 0
    assert "provider:network_type" not in network
    assert member.show("network", network["id"]) == network
    changed = member.set("network", network["id"], name="m", admin_state_up=False)
    assert changed["name"] == "m" and changed["revision_number"] == 1
    cloud.settle()
    spec = agent.seen["network", network["id"]].spec
    assert spec["name"] == "m" and not spec["admin_state_up"] and spec["network_type"] == "vxlan"
    member.delete("network", network["id"])
    cloud.settle()
    assert ("network", network["id"]) not in agent.seen
    assert member.client.get(member.path("network", network["id"])).status == 404


def test_provider_attributes_are_for_administrators(admin, member):
    refused = member.try_make("network", **{"provider:network_type": "vxlan"})
    assert refused.status == 403 and kind_of(refused) == "PolicyNotAuthorized"
    assert member.try_make("network", shared=True).status == 403
    assert member.try_make("network", **{"router:external": True}).status == 403
    wanted = {"provider:network_type": "vlan", "provider:physical_network": "public", "provider:segmentation_id": 7}
    network = admin.make("network", **wanted)
    assert {name: network[name] for name in wanted} == wanted
    assert network["mtu"] == 1500


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"provider:network_type": "token-ring"}, 400, "not supported"),
        ({"provider:network_type": "flat"}, 400, "physical_network required"),
        ({"provider:network_type": "flat", "provider:physical_network": "nowhere"}, 400, "unknown"),
        (
            {
                "provider:network_type": "vlan",
                "provider:physical_network": "public",
                "provider:segmentation_id": 5000,
            },
            400,
            "out of range",
        ),
        ({"provider:network_type": "vxlan", "provider:physical_network": "public"}, 400, "physical_network"),
        ({"provider:segmentation_id": 9}, 400, "network_type required"),
        ({"mtu": 9000}, 400, "maximum is 1450"),
        ({"name": "x" * 256}, 400, "name"),
        ({"nonsense": 1}, 400, "nonsense"),
        ({"admin_state_up": "perhaps"}, 400, "admin_state_up"),
    ],
)
def test_what_cannot_be(admin, wish, status, words):
    refused = admin.try_make("network", **wish)
    assert refused.status == status and words in words_of(refused)


def test_segments_are_unique(admin, outside):
    flat = {"provider:network_type": "flat", "provider:physical_network": "public"}
    refused = admin.try_make("network", **flat)
    assert refused.status == 409 and kind_of(refused) == "FlatNetworkInUse"
    vni = {"provider:network_type": "vxlan", "provider:segmentation_id": 2}
    first = admin.make("network")
    admin.make("network", **vni)
    assert kind_of(admin.try_make("network", **vni)) == "TunnelIdInUse"
    assert first["provider:segmentation_id"] == 1
    assert admin.make("network")["provider:segmentation_id"] == 3
    admin.delete("network", first["id"])
    assert admin.make("network")["provider:segmentation_id"] == 1


def test_who_sees_what(admin, member, other, reader, outside):
    own = member.make("network", name="own")
    shared = admin.make("network", name="shared", shared=True)
    seen = {network["id"] for network in other.list("network")}
    assert seen == {outside["id"], shared["id"]}
    assert other.client.get(other.path("network", own["id"])).status == 404
    assert other.show("network", shared["id"])["shared"] is True
    assert other.try_set("network", shared["id"], name="mine").status == 403
    assert reader.show("network", own["id"])["name"] == "own"
    assert reader.try_make("network", name="no").status == 403
    assert len(admin.list("network")) == 3


def test_filters_sorting_paging_fields(member):
    for name in ("b", "a", "c"):
        member.make("network", name=name)
    assert [one["name"] for one in member.list("network", "sort_key=name&sort_dir=desc")] == ["c", "b", "a"]
    assert [one["name"] for one in member.list("network", "name=a&name=b&sort_key=name")] == ["a", "b"]
    assert member.list("network", "admin_state_up=False") == []
    assert member.list("network", "fields=name&name=a") == [{"name": "a"}]
    first = member.client.get("/network/v2.0/networks?sort_key=name&limit=2").json
    assert [one["name"] for one in first["networks"]] == ["a", "b"]
    assert first["networks_links"][0]["rel"] == "next"
    marker = first["networks"][-1]["id"]
    rest = member.client.get(f"/network/v2.0/networks?sort_key=name&limit=2&marker={marker}").json
    assert [one["name"] for one in rest["networks"]] == ["c"]
    assert rest["networks_links"][0]["rel"] == "previous"


def test_bulk_is_all_or_nothing(member):
    made = member.client.post("/network/v2.0/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert made.status == 201 and [one["name"] for one in made.json["networks"]] == ["a", "b"]
    refused = member.client.post("/network/v2.0/networks", {"networks": [{"name": "c"}, {"name": 7}]})
    assert refused.status == 400
    assert len(member.list("network")) == 2
    assert member.client.post("/network/v2.0/networks", {"networks": []}).status == 400


def test_projects(admin, member, other):
    theirs = admin.make("network", name="gift", tenant_id=other.project_id)
    assert other.show("network", theirs["id"])["project_id"] == other.project_id
    refused = member.try_make("network", project_id=other.project_id)
    assert refused.status == 400 and "admin privileges" in words_of(refused)


def test_quota(admin, member):
    admin.client.put(f"/network/v2.0/quotas/{member.project_id}", {"quota": {"network": 1}})
    member.make("network")
    refused = member.try_make("network")
    assert refused.status == 409 and kind_of(refused) == "OverQuota"


def test_tags(member):
    network = member.make("network")
    path = member.path("network", network["id"]) + "/tags"
    assert member.client.put(path, {"tags": ["red", "blue"]}).json == {"tags": ["red", "blue"]}
    assert member.client.put(path + "/green").status == 201
    assert member.client.get(path + "/green").status == 204
    assert member.client.delete(path + "/red").status == 204
    assert member.client.get(path + "/red").status == 404
    assert member.client.get(path).json == {"tags": ["blue", "green"]}
    assert len(member.list("network", "tags=blue,green")) == 1
    assert member.list("network", "tags=blue,red") == []
    assert len(member.list("network", "tags-any=blue,red")) == 1
    assert member.list("network", "not-tags=blue") == []
    assert len(member.list("network", "not-tags=blue,red")) == 1
    assert member.list("network", "not-tags-any=blue,red") == []
    assert member.client.delete(path).status == 204
    assert member.show("network", network["id"])["tags"] == []


def test_if_match(member):
    network = member.make("network")
    path = member.path("network", network["id"])
    body = {"network": {"name": "x"}}
    assert member.client.put(path, body, headers={"If-Match": "revision_number=0"}).status == 200
    refused = member.client.put(path, body, headers={"If-Match": "revision_number=0"})
    assert refused.status == 412 and kind_of(refused) == "RevisionNumberConstraintFailed"


def test_in_use(member, inside):
    network, _ = inside
    port = member.make("port", network_id=network["id"])
    refused = member.try_delete("network", network["id"])
    assert refused.status == 409 and kind_of(refused) == "NetworkInUse" and port["id"] in words_of(refused)
    member.delete("port", port["id"])
    member.delete("network", network["id"])
    assert member.list("subnet") == [] and member.list("port") == []


def test_unsharing_while_others_use_it(admin, other):
    network = admin.make("network", shared=True)
    admin.make("subnet", network_id=network["id"], ip_version=4, cidr="10.9.0.0/24")
    other.make("port", network_id=network["id"])
    refused = admin.try_set("network", network["id"], shared=False)
    assert refused.status == 409 and kind_of(refused) == "InvalidSharedSetting"


def test_list_costs_constant_queries(member, cloud, inside):
    few = cloud.count_queries(lambda: member.list("network"))
    for number in range(3):
        network = member.make("network")
        member.make("subnet", network_id=network["id"], ip_version=4, cidr=f"10.1.{number}.0/24")
    assert cloud.count_queries(lambda: member.list("network")) == few
