# SPDX-License-Identifier: Apache-2.0
"""The way of a request through the kernel, with a toy service."""

import pytest

from altostratus.testing.cloud import TestCloud
from tests.kernel import toy


@pytest.fixture
def cloud(tmp_path):
    with TestCloud(tmp_path, services=(toy.SERVICE,)) as made:
        yield made


def make(client, **members):
    return client.post("/toy/v1/toys", {"toy": {"name": "ted", **members}})


def test_create_and_show(cloud):
    member = cloud.client("member")
    made = make(member, size="7")
    assert made.status == 201
    assert made.json["toy"]["size"] == 7
    assert "kind" not in made.json["toy"]  # appears with 1.2
    assert "secret" not in made.json["toy"]  # guarded for reading
    assert made.json["toy"]["created_at"].endswith("Z")
    shown = member.get(f"/toy/v1/toys/{made.json['toy']['id']}")
    assert shown.json == made.json
    assert shown.headers["openstack-api-version"] == "toy 1.1"
    assert shown.headers["x-openstack-request-id"].startswith("req-")


def test_versions(cloud):
    member = cloud.client("member")
    toy_id = make(member).json["toy"]["id"]
    new = member.get(f"/toy/v1/toys/{toy_id}", headers={"OpenStack-API-Version": "toy 1.3"})
    assert new.json["toy"]["kind"] == "bear" and new.json["toy"]["shout"] == "TED"
    assert member.get("/toy/v1/toys", headers={"OpenStack-API-Version": "toy 1.9"}).status == 406
    assert member.get("/toy/v1/toys", headers={"OpenStack-API-Version": "toy x"}).status == 400
    assert member.get("/toy/v1/toys", headers={"OpenStack-API-Version": "toy latest"}).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"toy": {"name": "x" * 21}}, "name"),
        ({"toy": {"name": 5}}, "name"),
        ({"toy": {}}, "name"),
        ({"toy": {"name": "a", "bogus": 1}}, "bogus"),
        ({"toy": {"name": "a", "size": "1000"}}, "size"),
        ({"toy": {"name": "a", "size": "ten"}}, "size"),
        ({"wrong": {}}, "wrong"),
        ([], "object"),
        ("{", "JSON"),
    ],
)
def test_bad_bodies(cloud, body, words):
    refused = cloud.client("member").post("/toy/v1/toys", body)
    assert refused.status == 400
    assert words in refused.json["toyFault"]["message"]


def test_who_may(cloud):
    member = cloud.client("member")
    toy_id = make(member).json["toy"]["id"]
    path = f"/toy/v1/toys/{toy_id}"
    assert cloud.client(None).get(path).status == 401
    assert cloud.client("bogus").get(path).status == 401
    assert cloud.client("reader").get(path).status == 200
    assert cloud.client("reader").delete(path).status == 403
    assert "toy:delete" in cloud.client("reader").delete(path).json["toyFault"]["message"]
    assert cloud.client("member@green").get(path).status == 404
    assert cloud.client("member@green").delete(path).status == 404
    assert cloud.client("admin").get(path).json["toy"]["secret"] == "s"
    assert make(member, secret="mine").status == 403
    assert make(cloud.client("admin"), secret="mine").status == 201
    assert member.get("/toy/v1/toys/census/all").status == 403
    assert cloud.client("admin").get("/toy/v1/toys/census/all").json == {"all": True}


def test_lists(cloud):
    member = cloud.client("member")
    for name in ("b", "a", "c"):
        make(member, name=name)
    names = lambda reply: [item["name"] for item in reply.json["toys"]]  # noqa: E731
    assert names(member.get("/toy/v1/toys?sort_key=name")) == ["a", "b", "c"]
    assert names(member.get("/toy/v1/toys?name=a")) == ["a"]
    first = member.get("/toy/v1/toys?sort_key=name&limit=2")
    assert names(first) == ["a", "b"]
    second = member.get(first.json["toys_links"][0]["href"].split("falconframework.org")[1])
    assert names(second) == ["c"] and "toys_links" not in second.json
    assert cloud.client("admin").get("/toy/v1/toys").json["toys"] == []
    assert len(cloud.client("admin").get("/toy/v1/toys?all_tenants=1").json["toys"]) == 3
    assert member.get("/toy/v1/toys?limit=-1").status == 400
    assert member.get("/toy/v1/toys?marker=nothing").status == 400


def test_update_delete_and_methods(cloud):
    member = cloud.client("member")
    toy_id = make(member).json["toy"]["id"]
    path = f"/toy/v1/toys/{toy_id}"
    assert member.put(path, {"toy": {"name": "new", "soft": "no"}}).json["toy"]["soft"] is False
    wrong = member.post(path, {})
    assert wrong.status == 405 and "PUT" in wrong.headers["allow"]
    assert member.delete(path).status == 204
    assert member.get(path).status == 404
    assert member.get("/toy/nothing").status == 404


def test_actions(cloud):
    member = cloud.client("member")
    path = f"/toy/v1/toys/{make(member).json['toy']['id']}/action"
    assert member.post(path, {"squeeze": {"times": 3}}).json == {"squeaks": 3, "name": "ted"}
    assert member.post(path, {"squeeze": {}}).status == 400
    assert "squeeze" in member.post(path, {"kick": None}).json["toyFault"]["message"]


def test_quota_and_conflict_leave_nothing(cloud):
    member = cloud.client("member")
    assert make(member, name="taken").status == 409
    for _ in range(3):
        assert make(member).status == 201
    refused = make(member)
    assert refused.status == 403 and "already used 3 of 3" in refused.json["toyFault"]["message"]
    assert len(member.get("/toy/v1/toys").json["toys"]) == 3


def test_no_stack_trace_leaves(cloud):
    broken = cloud.client("member").get("/toy/v1/toys/broken/now")
    assert broken.status == 500
    assert "Traceback" not in broken.text and "req-" in broken.json["toyFault"]["message"]


def test_list_costs_constant_queries(cloud):
    member = cloud.client("member")
    make(member)
    few = cloud.count_queries(lambda: member.get("/toy/v1/toys"))
    make(member)
    make(member)
    assert cloud.count_queries(lambda: member.get("/toy/v1/toys")) == few
