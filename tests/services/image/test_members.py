# SPDX-License-Identifier: Apache-2.0
"""Sharing images with other projects."""

from typing import Any

from tests.services.image.conftest import IMAGES, make


def listed(client, query=""):
    return [image["id"] for image in client.get(f"{IMAGES}?visibility=shared{query}").json["images"]]


def test_share_accept_and_take_away(cloud, member):
    green = cloud.client("member@green")
    green_id = cloud.project_id("green")
    image_id = make(member).json["id"]
    path = f"{IMAGES}/{image_id}/members"
    assert green.get(f"{IMAGES}/{image_id}").status == 404
    shared = member.post(path, {"member": green_id})
    assert shared.status == 200 and shared.json["status"] == "pending" and shared.json["image_id"] == image_id
    assert member.post(path, {"member": green_id}).status == 409
    assert green.get(f"{IMAGES}/{image_id}").status == 200
    assert listed(green) == [] and listed(green, "&member_status=pending") == [image_id]
    assert member.put(f"{path}/{green_id}", {"status": "accepted"}).status == 403
    assert green.put(f"{path}/{green_id}", {"status": "odd"}).status == 400
    assert green.put(f"{path}/{green_id}", {"status": "accepted"}).json["status"] == "accepted"
    assert listed(green) == [image_id]
    assert [one["member_id"] for one in green.get(path).json["members"]] == [green_id]
    assert member.get(f"{path}/{green_id}").json["status"] == "accepted"
    assert green.post(path, {"member": "other"}).status == 403
    assert green.delete(f"{path}/{green_id}").status == 403
    assert green.put(f"{path}/{green_id}", {"status": "rejected"}).status == 200 and listed(green) == []
    assert member.delete(f"{path}/{green_id}").status == 204
    assert member.delete(f"{path}/{green_id}").status == 404
    assert green.get(f"{IMAGES}/{image_id}").status == 404


def test_only_shared_images_have_members(member):
    image_id = make(member, visibility="private").json["id"]
    path = f"{IMAGES}/{image_id}/members"
    assert member.get(path).status == 403 and member.post(path, {"member": "x"}).status == 403
    assert member.get(f"{path}/x").status == 404


def test_refused_members(member):
    path = f"{IMAGES}/{make(member).json['id']}/members"
    bodies: tuple[Any, ...] = ({}, {"member": ""}, {"member": 5}, [])
    for body in bodies:
        assert member.post(path, body).status == 400
    assert member.get(f"{path}/nobody").status == 404
