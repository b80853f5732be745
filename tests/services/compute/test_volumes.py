# SPDX-License-Identifier: Apache-2.0
"""Volumes of servers: attached, detached, booted from, and what is left when a server goes."""

import pytest

from .people import words_of


def attach(member, server, volume, **members):
    body = {"volumeAttachment": {"volumeId": volume, **members}}
    return member.post(f"/servers/{server}/os-volume_attachments", body)


def listed(member, server):
    return member.read(f"/servers/{server}/os-volume_attachments")["volumeAttachments"]


def test_attach_and_detach(member, cloud, agent, server):
    volume = member.make_volume()
    made = attach(member, server, volume)
    assert made.status == 200
    assert made.json["volumeAttachment"]["device"] == "/dev/vdb"
    assert member.volume(volume)["status"] == "attaching"
    cloud.settle()
    assert member.volume(volume)["status"] == "in-use"
    assert member.volume(volume)["attachments"][0]["server_id"] == server
    assert [disk.volume_id for disk in agent.spec_of(server).disks] == [None, volume]
    assert member.show(server)["os-extended-volumes:volumes_attached"] == [
        {"id": volume, "delete_on_termination": False}
    ]
    assert member.get(f"/servers/{server}/os-volume_attachments/{volume}").status == 200
    assert member.delete(f"/servers/{server}/os-volume_attachments/{volume}").status == 202
    cloud.settle()
    assert member.volume(volume)["status"] == "available"
    assert listed(member, server) == [] and len(agent.spec_of(server).disks) == 1
    assert member.get(f"/servers/{server}/os-volume_attachments/{volume}").status == 404


def test_two_at_once_both_succeed(member, cloud, agent, server):
    volumes = [member.make_volume(), member.make_volume()]
    answers = [attach(member, server, volume) for volume in volumes]
    assert [answer.json["volumeAttachment"]["device"] for answer in answers] == ["/dev/vdb", "/dev/vdc"]
    cloud.settle()
    assert [member.volume(volume)["status"] for volume in volumes] == ["in-use", "in-use"]
    assert [one["volumeId"] for one in listed(member, server)] == volumes
    assert len(agent.spec_of(server).disks) == 3


def test_a_volume_that_cannot_be_attached_is_available_again(member, cloud, agent, server):
    volume = member.make_volume()
    agent.refuse = lambda spec: "No slot is free." if len(spec.disks) > 1 else None
    attach(member, server, volume)
    cloud.settle()
    assert member.volume(volume)["status"] == "available" and listed(member, server) == []
    assert len(agent.spec_of(server).disks) == 1 and member.show(server)["status"] == "ACTIVE"


def test_a_guest_that_does_not_let_go_keeps_its_volume(member, cloud, agent, server):
    volume = member.make_volume()
    attach(member, server, volume)
    cloud.settle()
    agent.refuse = lambda spec: "The guest does not let go." if len(spec.disks) == 1 else None
    assert member.delete(f"/servers/{server}/os-volume_attachments/{volume}").status == 202
    cloud.settle()
    assert member.volume(volume)["status"] == "in-use" and len(listed(member, server)) == 1


def test_refusals(member, other, server):
    volume = member.make_volume()
    assert attach(member, server, "bogus").status == 400
    assert attach(member, server, "00000000-0000-0000-0000-000000000000").status == 404
    assert attach(member, server, volume, device="nonsense!").status == 400
    attach(member, server, volume)
    again = attach(member, server, volume)
    assert again.status == 400 and "already attached" in words_of(again)
    assert member.delete(f"/servers/{server}/os-volume_attachments/{server}").status == 404
    assert other.get(f"/servers/{server}/os-volume_attachments").status == 404


@pytest.mark.parametrize(("version", "present"), [("2.1", {"id"}), ("2.79", {"delete_on_termination", "tag", "id"})])
def test_members(member, cloud, server, version, present):
    attach(member, server, member.make_volume())
    shown = member.read(f"/servers/{server}/os-volume_attachments", version=version)["volumeAttachments"][0]
    assert set(shown) == present | {"serverId", "volumeId", "device"}
    newest = listed(member, server)[0]
    assert "id" not in newest and {"attachment_id", "bdm_uuid"} <= set(newest)


def boot_volume(image, **members):
    disk = {"source_type": "image", "uuid": image, "destination_type": "volume", "boot_index": 0, "volume_size": 2}
    return [disk | members]


def test_boot_from_a_new_volume(member, cloud, agent, image, network):
    server = member.make_server(
        network=network, block_device_mapping_v2=boot_volume(image, delete_on_termination=True), flavorRef="0"
    )
    shown = member.show(server)
    assert shown["image"] == ""
    (attached,) = shown["os-extended-volumes:volumes_attached"]
    assert attached["delete_on_termination"] is True
    assert member.volume(attached["id"])["status"] == "in-use" and member.volume(attached["id"])["size"] == 2
    assert agent.spec_of(server).disks[0].source == "volume" and agent.spec_of(server).disks[0].boot_index == 0
    assert member.delete(f"/servers/{server}/os-volume_attachments/{attached['id']}").status == 403
    member.delete(f"/servers/{server}")
    cloud.settle()
    assert member.volume(attached["id"]) is None


def test_boot_from_an_existing_volume(member, cloud, image, network):
    volume = member.make_volume(imageRef=image)
    disk = {"source_type": "volume", "uuid": volume, "destination_type": "volume", "boot_index": 0}
    server = member.make_server(network=network, block_device_mapping_v2=[disk])
    assert member.volume(volume)["status"] == "in-use"
    member.delete(f"/servers/{server}")
    cloud.settle()
    assert member.volume(volume)["status"] == "available"


def test_a_volume_that_is_not_bootable(member, network):
    disk = {"source_type": "volume", "uuid": member.make_volume(), "destination_type": "volume", "boot_index": 0}
    refused = member.try_server(network=network, block_device_mapping_v2=[disk])
    assert refused.status == 400 and "is not bootable" in words_of(refused)


def test_a_failed_build_gives_the_volumes_back(member, cloud, agent, image, network):
    volume = member.make_volume()
    disks = [
        {"source_type": "image", "uuid": image, "destination_type": "local", "boot_index": 0},
        {"source_type": "volume", "uuid": volume, "destination_type": "volume"},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1},
    ]
    agent.fail["*"] = "Nothing works today."
    member.make_server(image, network, block_device_mapping_v2=disks, expect="ERROR")
    assert member.volume(volume)["status"] == "available"
    every = member.client.get(f"/volume/v3/{member.client.project_id}/volumes").json["volumes"]
    assert [one["id"] for one in every] == [volume]


def test_delete_on_termination_can_be_changed(member, cloud, server):
    volume = member.make_volume()
    attach(member, server, volume)
    cloud.settle()
    path = f"/servers/{server}/os-volume_attachments/{volume}"
    changed = member.put(path, {"volumeAttachment": {"volumeId": volume, "delete_on_termination": True}})
    assert changed.status == 202
    member.delete(f"/servers/{server}")
    cloud.settle()
    assert member.volume(volume) is None


def test_an_image_of_a_volume_backed_server_boots(member, cloud, agent, image, network):
    server = member.make_server(network=network, block_device_mapping_v2=boot_volume(image))
    made = member.act(server, "createImage", {"name": "snap"})
    assert made.status == 202, made.text
    cloud.settle()
    found = member.client.get(f"/image/v2/images/{made.json['image_id']}").json
    assert found["status"] == "active" and found["size"] == 0 and "snapshot_id" in found["block_device_mapping"]
    copy = member.make_server(found["id"], network)
    (attached,) = member.show(copy)["os-extended-volumes:volumes_attached"]
    assert member.volume(attached["id"])["snapshot_id"] and member.volume(attached["id"])["size"] == 2
    assert agent.spec_of(copy).disks[0].volume_id == attached["id"]
