# SPDX-License-Identifier: Apache-2.0
"""Images: members, properties, lists, patches, rights."""

import pytest

from altostratus.services.image.config import ImageOptions
from tests.services.image.conftest import IMAGES, PATCH, make, make_active


def names(reply):
    return [image["name"] for image in reply.json["images"]]


def test_create_shows_what_was_asked_for(member):
    made = make(member, id="11111111-2222-4333-8444-555555555555", os_distro="debian", tags=["b", "a", "b"], min_ram=8)
    assert made.status == 201, made.text
    image = made.json
    assert image["id"].startswith("11111111") and image["os_distro"] == "debian" and image["tags"] == ["b", "a"]
    assert (image["status"], image["visibility"], image["size"], image["min_ram"]) == ("queued", "shared", None, 8)
    assert image["self"] == f"/v2/images/{image['id']}" and image["file"] == image["self"] + "/file"
    assert made.headers["location"].endswith(f"/image/v2/images/{image['id']}")
    assert made.headers["openstack-image-import-methods"] == "glance-direct"
    assert member.get(f"{IMAGES}/{image['id']}").json == image
    assert make(member, id=image["id"]).status == 409


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ({"disk_format": "wrong"}, 400, "disk_format"),
        ({"container_format": "wrong"}, 400, "container_format"),
        ({"disk_format": "ami", "container_format": "bare"}, 400, "mix"),
        ({"id": "no-uuid"}, 400, "id"),
        ({"name": "x" * 256}, 400, "name"),
        ({"min_ram": "8"}, 400, "min_ram"),
        ({"min_disk": -1}, 400, "min_disk"),
        ({"visibility": "everybody"}, 400, "visibility"),
        ({"tags": ["x" * 256]}, 400, "tags"),
        ({"os_version": 12}, 400, "os_version"),
        ({"x" * 256: "v"}, 400, "255"),
        ({"status": "active"}, 403, "read-only"),
        ({"self": "/me"}, 403, "read-only"),
        ({"deleted": "no"}, 403, "reserved"),
        ({"os_glance_foo": "bar"}, 403, "reserved"),
        ({"visibility": "public"}, 403, "publicize_image"),
        ({"owner": "somebody"}, 403, "add_image"),
    ],
)
def test_refused_members(member, members, status, words):
    refused = make(member, **members)
    assert refused.status == status, refused.text
    assert words in refused.text and refused.headers["content-type"].startswith("text/html")
    assert member.get(IMAGES).json["images"] == []


def test_limits_and_quota(cloud, member):
    limit = cloud.cloud[ImageOptions].tag_limit
    assert make(member, tags=[str(number) for number in range(limit + 1)]).status == 413
    with cloud.cloud.db.write() as tx:
        cloud.cloud.quotas("image").set_limits(tx, cloud.project_id(), {"image_count_total": 1})
    assert make(member).status == 201
    assert make(member).status == 413
    assert member.get("/image/v2/info/usage").json["usage"]["image_count_total"] == {"usage": 1, "limit": 1}


def test_who_may(cloud, member):
    image_id = make(member, visibility="private").json["id"]
    path = f"{IMAGES}/{image_id}"
    assert cloud.client(None).get(path).status == 401
    assert cloud.client("reader").get(path).status == 200
    assert cloud.client("reader").delete(path).status == 403
    assert make(cloud.client("reader")).status == 403
    assert cloud.client("member@green").get(path).status == 404
    assert cloud.client("member@green").delete(path).status == 404
    assert cloud.client("admin").get(path).status == 200


def test_public_and_community(cloud, member):
    admin, green = cloud.client("admin"), cloud.client("member@green")
    public = make(admin, name="public", visibility="public").json["id"]
    community = make(member, name="community", visibility="community").json["id"]
    assert names(green.get(IMAGES)) == ["public"]
    assert names(member.get(IMAGES)) == ["community", "public"]
    assert names(green.get(f"{IMAGES}?visibility=community")) == ["community"]
    assert names(green.get(f"{IMAGES}?visibility=all")) == ["community", "public"]
    assert green.get(f"{IMAGES}?visibility=odd").status == 400
    for image_id in (public, community):
        assert green.get(f"{IMAGES}/{image_id}").status == 200
        assert green.delete(f"{IMAGES}/{image_id}").status == 403


def test_filters(member):
    make_active(member, b"x" * 2000, name="big", os_distro='de"bi"an', tags=["one", "two"])
    make_active(member, b"x" * 10, name="small, really", os_distro="debian", tags=["one"])
    make(member, name="queued", protected=True)
    make(member, name="hidden", os_hidden=True)
    cases = {
        "name=big": ["big"],
        'name=in:big,"small, really"': ["small, really", "big"],
        "status=queued": ["queued"],
        "status=in:active,queued": ["queued", "small, really", "big"],
        "size_min=1000": ["big"],
        "size_max=1000": ["small, really"],
        "size=10": ["small, really"],
        "tag=one": ["small, really", "big"],
        "tag=one&tag=two": ["big"],
        "tag=on": [],
        "os_distro=debian": ["small, really"],
        'os_distro=de"bi"an': ["big"],
        "os_distro=Debian": [],
        "bi=an": [],
        "os_hidden=true": ["hidden"],
        "protected=true": ["queued"],
        "created_at=gte:2000-01-01T00:00:00Z": ["queued", "small, really", "big"],
        "created_at=lt:2000-01-01T00:00:00": [],
        "owner=nobody": [],
        "sort=size:desc": ["big", "small, really", "queued"],
        "sort=size:asc,name": ["queued", "small, really", "big"],
        "sort_key=name&sort_dir=asc": ["big", "queued", "small, really"],
    }
    found = {query: names(member.get(f"{IMAGES}?{query}")) for query in cases}
    assert found == cases


@pytest.mark.parametrize(
    "query",
    [
        "limit=x", "limit=-1", "marker=none", "sort=bogus", "sort=name:up", "sort=name&sort_key=name", "size_min=big",
        "created_at=yesterday", "name=gt:a", 'name=in:"a', "os_hidden=perhaps", "changes-since=2020-01-01",
        "member_status=odd", "sort_key=name&sort_dir=asc&sort_dir=desc",
    ],
)  # fmt: skip
def test_refused_queries(member, query):
    assert member.get(f"{IMAGES}?{query}").status == 400


def test_pages(member):
    for name in "abc":
        make(member, name=name)
    first = member.get(f"{IMAGES}?limit=2&sort=name:asc").json
    assert [image["name"] for image in first["images"]] == ["a", "b"]
    assert first["first"] == "/v2/images?limit=2&sort=name%3Aasc"
    second = member.get("/image" + first["next"]).json
    assert [image["name"] for image in second["images"]] == ["c"] and "next" not in second
    assert member.get(f"{IMAGES}?limit=0").json["images"] == []


def patch(client, image_id, *operations, headers=PATCH):
    return client.patch(f"{IMAGES}/{image_id}", list(operations), headers=headers)


def test_patch_both_drafts(member):
    image_id = make(member, os_distro="debian").json["id"]
    changed = patch(
        member, image_id,
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/a~1b", "value": "1"},
        {"op": "remove", "path": "/os_distro"},
        {"op": "replace", "path": "/tags", "value": ["t"]},
        {"op": "add", "path": "/min_ram", "value": 8},
    )  # fmt: skip
    assert changed.status == 200, changed.text
    image = changed.json
    assert (image["name"], image["a/b"], image["tags"], image["min_ram"]) == ("new", "1", ["t"], 8)
    assert "os_distro" not in image
    old = {"Content-Type": "application/openstack-images-v2.0-json-patch"}
    assert patch(member, image_id, {"replace": "/name", "value": "older"}, headers=old).json["name"] == "older"
    assert patch(member, image_id, {"add": "/name", "value": "again"}, headers=old).status == 409
    assert member.get(f"{IMAGES}/{image_id}").json["name"] == "older"


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "replace", "path": "/name", "value": 5}, 400),
        ({"op": "replace", "path": "/name"}, 400),
        ({"op": "move", "path": "/name", "value": "x"}, 400),
        ({"op": "replace", "path": "name", "value": "x"}, 400),
        ({"op": "replace", "path": "/name/first", "value": "x"}, 400),
        ({"op": "replace", "path": "/na~2me", "value": "x"}, 400),
        ({"op": "replace", "path": "/nothing", "value": "x"}, 409),
        ({"op": "remove", "path": "/nothing"}, 409),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "replace", "path": "/id", "value": "x"}, 403),
        ({"op": "add", "path": "/os_glance_foo", "value": "x"}, 403),
        ({"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/passwd", "metadata": {}}}, 403),
        ({"op": "replace", "path": "/owner", "value": "x"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "odd"}, 400),
        ({"op": "add", "path": "/speed", "value": 88}, 400),
        ("no object", 400),
    ],
)
def test_refused_patches_change_nothing(member, operation, status):
    image_id = make(member).json["id"]
    before = member.get(f"{IMAGES}/{image_id}").json
    refused = patch(member, image_id, {"op": "replace", "path": "/min_ram", "value": 4}, operation)
    assert refused.status == status, refused.text
    assert member.get(f"{IMAGES}/{image_id}").json == before


def test_patch_needs_its_content_type_and_a_list(member):
    image_id = make(member).json["id"]
    refused = member.patch(f"{IMAGES}/{image_id}", [{"op": "remove", "path": "/x"}])
    assert refused.status == 415 and "v2.1-json-patch" in refused.headers["accept-patch"]
    assert member.patch(f"{IMAGES}/{image_id}", {}, headers=PATCH).status == 400


def test_formats_are_fixed_once_there_is_data(member):
    image_id = make_active(member)
    assert patch(member, image_id, {"op": "replace", "path": "/disk_format", "value": "qcow2"}).status == 403


def test_protected_tags_and_states(cloud, member):
    image_id = make_active(member, protected=True)
    path = f"{IMAGES}/{image_id}"
    assert member.delete(path).status == 403
    assert member.put(f"{path}/tags/new").status == 204
    assert member.put(f"{path}/tags/{'x' * 256}").status == 400
    assert member.get(path).json["tags"] == ["new"]
    assert member.delete(f"{path}/tags/new").status == 204
    assert member.delete(f"{path}/tags/new").status == 404
    assert member.post(f"{path}/actions/deactivate").status == 204
    assert member.get(f"{path}/file").status == 403
    assert cloud.client("admin").get(f"{path}/file").status == 200
    assert member.post(f"{path}/actions/reactivate").status == 204
    assert member.get(f"{path}/file").status == 200
    queued = make(member).json["id"]
    assert member.post(f"{IMAGES}/{queued}/actions/deactivate").status == 403
    assert patch(member, image_id, {"op": "replace", "path": "/protected", "value": False}).status == 200
    assert member.delete(path).status == 204
    assert member.get(path).status == 404 and member.delete(path).status == 404


def test_lists_cost_the_same_for_one_and_for_many(cloud, member):
    make(member)
    member.get(IMAGES)
    few = cloud.count_queries(lambda: member.get(IMAGES))
    for _ in range(10):
        make(member)
    many = cloud.count_queries(lambda: member.get(IMAGES))
    assert many <= few + 1
    assert cloud.count_queries(lambda: member.get(IMAGES)) == few


def test_versions_schemas_and_info(cloud, member):
    nobody = cloud.client(None)
    assert nobody.get("/image").status == 300 and nobody.get("/image/versions").status == 200
    versions = nobody.get("/image/versions").json["versions"]
    assert [one["id"] for one in versions if one["status"] == "CURRENT"] == ["v2.15"] and versions[-1]["id"] == "v2.0"
    for name in ("image", "images", "member", "members", "task", "tasks"):
        assert member.get(f"/image/v2/schemas/{name}").json["name"] == name
    assert member.get("/image/v2/schemas/odd").status == 404
    assert member.get(f"{IMAGES}/").status == 404 and member.delete(f"{IMAGES}/").status == 404
    assert nobody.get("/image/").status == 300 and nobody.get("/image/v2/").status == 300
    assert member.get("/image/v2/info/import").json["import-methods"]["value"] == ["glance-direct"]
    assert member.get("/image/v2/info/stores").json["stores"][0]["id"] == "file"
    assert member.get("/image/v2/info/stores/detail").status == 403
    assert cloud.client("admin").get("/image/v2/info/stores/detail").json["stores"][0]["type"] == "file"
    assert cloud.client("admin").get("/image/v2/tasks").json["tasks"] == []
    image_id = make_active(member)
    assert cloud.client("admin").delete(f"/image/v2/stores/file/{image_id}").status == 403
    assert cloud.client("admin").delete(f"/image/v2/stores/other/{image_id}").status == 404
