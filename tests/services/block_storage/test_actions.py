# SPDX-License-Identifier: Apache-2.0
"""Actions on volumes: attaching, growing, flags, images, types, states."""

import pytest

from altostratus.contracts.host_api import Key
from tests.services.block_storage.conftest import V, act, make_available, make_image, show

SERVER = "11111111-2222-4333-8444-555555555555"


def test_attach_and_detach(cloud, member):
    volume_id = make_available(cloud, member)
    assert act(member, volume_id, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}).status == 202
    volume = show(member, volume_id)
    (attachment,) = volume["attachments"]
    assert volume["status"] == "in-use" and attachment["device"] == "/dev/vdb" and attachment["server_id"] == SERVER
    assert member.delete(f"{V}/volumes/{volume_id}").status == 400
    assert act(member, volume_id, "os-begin_detaching").status == 202
    assert show(member, volume_id)["status"] == "detaching"
    assert act(member, volume_id, "os-roll_detaching").status == 202
    assert show(member, volume_id)["status"] == "in-use"
    assert act(member, volume_id, "os-detach", {"attachment_id": SERVER}).status == 404
    assert act(member, volume_id, "os-detach", {"attachment_id": attachment["attachment_id"]}).status == 202
    assert show(member, volume_id)["status"] == "available" and show(member, volume_id)["attachments"] == []


def test_reserve_and_unreserve(cloud, member):
    volume_id = make_available(cloud, member)
    assert act(member, volume_id, "os-reserve").status == 202
    assert show(member, volume_id)["status"] == "attaching"
    assert act(member, volume_id, "os-reserve").status == 400
    assert act(member, volume_id, "os-unreserve").status == 202
    assert show(member, volume_id)["status"] == "available"
    assert act(member, volume_id, "os-begin_detaching").status == 400


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("os-attach", {"instance_uuid": "x", "mountpoint": "/dev/vdb"}),
        ("os-attach", {"instance_uuid": SERVER, "mountpoint": ""}),
        ("os-attach", {"mountpoint": "/dev/vdb"}),
        ("os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb", "mode": "wx"}),
        ("os-extend", {"new_size": "big"}),
        ("os-extend", {"new_size": 0}),
        ("os-extend", {"new_size": 1}),
        ("os-extend", {}),
        ("os-set_bootable", {"bootable": "perhaps"}),
        ("os-update_readonly_flag", {}),
        ("os-retype", {"new_type": "__DEFAULT__"}),
        ("os-volume_upload_image", {"image_name": "x", "disk_format": "exotic"}),
        ("os-volume_upload_image", {}),
        ("os-unset_image_metadata", {"key": ""}),
        ("os-no_such_action", {}),
    ],
)
def test_refused_actions(cloud, member, action, value):
    volume_id = make_available(cloud, member)
    refused = act(member, volume_id, action, value)
    assert refused.status == 400, refused.text
    assert show(member, volume_id)["status"] == "available"


def test_extend(cloud, member, admin, host):
    volume_id = make_available(cloud, member)
    admin.put(f"{V}/os-quota-sets/{member.project_id}", {"quota_set": {"gigabytes": 5}})
    assert act(member, volume_id, "os-extend", {"new_size": 6}).status == 413
    assert act(member, volume_id, "os-extend", {"new_size": "4"}).status == 202
    assert show(member, volume_id)["status"] == "extending"
    cloud.settle()
    assert (show(member, volume_id)["size"], host.specs()[volume_id]["size_gib"]) == (4, 4)
    assert show(member, volume_id)["status"] == "available"


def test_extend_that_fails(cloud, member, host):
    volume_id = make_available(cloud, member)
    host.fail[Key("volume", volume_id)] = "The disk of this back end is full."
    assert act(member, volume_id, "os-extend", {"new_size": 4}).status == 202
    cloud.settle()
    host.fail.clear()
    volume = show(member, volume_id)
    assert (volume["status"], volume["size"]) in (("error_extending", 1), ("extending", 1))


def test_flags(cloud, member):
    volume_id = make_available(cloud, member)
    assert act(member, volume_id, "os-set_bootable", {"bootable": "True"}).status == 200
    assert show(member, volume_id)["bootable"] == "true"
    assert act(member, volume_id, "os-update_readonly_flag", {"readonly": True}).status == 202
    assert show(member, volume_id)["metadata"]["readonly"] == "True"
    assert act(member, volume_id, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}).status == 400
    connected = act(member, volume_id, "os-initialize_connection", {"connector": {"host": "h"}})
    assert connected.json["connection_info"]["data"]["access_mode"] == "ro"
    assert act(member, volume_id, "os-terminate_connection", {"connector": {}}).status == 202


def test_upload_as_an_image(cloud, member):
    volume_id = make_available(cloud, member)
    started = act(member, volume_id, "os-volume_upload_image", {"image_name": "copy", "disk_format": "raw"})
    assert started.status == 202, started.text
    answer = started.json["os-volume_upload_image"]
    assert (answer["status"], answer["visibility"], answer["container_format"]) == ("uploading", "private", "bare")
    assert show(member, volume_id)["status"] == "uploading"
    cloud.settle()
    image = member.get(f"/image/v2/images/{answer['image_id']}").json
    assert (image["status"], image["min_disk"], image["name"]) == ("active", 1, "copy")
    assert member.get(f"/image/v2/images/{answer['image_id']}/file").content == b"volume data"
    assert show(member, volume_id)["status"] == "available"
    public = {"image_name": "x", "visibility": "public"}
    assert act(member, volume_id, "os-volume_upload_image", public).status == 403


def test_upload_of_an_image_that_is_deleted_meanwhile(cloud, member):
    volume_id = make_available(cloud, member)
    started = act(member, volume_id, "os-volume_upload_image", {"image_name": "copy"})
    image_id = started.json["os-volume_upload_image"]["image_id"]
    assert member.delete(f"/image/v2/images/{image_id}").status == 204
    cloud.settle()
    assert show(member, volume_id)["status"] == "available"
    assert member.get(f"/image/v2/images/{image_id}").status == 404


def test_image_metadata(cloud, member):
    volume_id = make_available(cloud, member, imageRef=make_image(member))
    added = act(member, volume_id, "os-set_image_metadata", {"metadata": {"hw_disk_bus": "scsi"}})
    assert added.json["metadata"]["hw_disk_bus"] == "scsi"
    assert act(member, volume_id, "os-show_image_metadata").json["metadata"]["hw_disk_bus"] == "scsi"
    assert act(member, volume_id, "os-unset_image_metadata", {"key": "hw_disk_bus"}).status == 200
    assert act(member, volume_id, "os-unset_image_metadata", {"key": "hw_disk_bus"}).status == 404


def test_administrators_set_states_right(cloud, member, admin):
    volume_id = make_available(cloud, member)
    assert act(member, volume_id, "os-reset_status", {"status": "error"}).status == 403
    assert act(admin, volume_id, "os-reset_status", {"status": "bogus"}).status == 400
    assert act(admin, volume_id, "os-reset_status", {"status": "error"}).status == 202
    assert show(member, volume_id)["status"] == "error"
    act(admin, volume_id, "os-reset_status", {"status": "creating"})
    assert act(admin, volume_id, "os-force_delete", {}).status == 202
    cloud.settle()
    assert member.get(f"{V}/volumes/{volume_id}").status == 404


def test_force_detach(cloud, member, admin):
    volume_id = make_available(cloud, member)
    act(member, volume_id, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"})
    attachment_id = show(member, volume_id)["attachments"][0]["attachment_id"]
    assert act(admin, volume_id, "os-force_detach", {"attachment_id": SERVER, "connector": None}).status == 400
    assert act(admin, volume_id, "os-force_detach", {"attachment_id": attachment_id, "connector": None}).status == 202
    assert show(member, volume_id)["status"] == "available"


def test_retype(cloud, member, admin):
    volume_id = make_available(cloud, member)
    admin.post(f"{V}/types", {"volume_type": {"name": "same", "extra_specs": {"volume_backend_name": "file"}}})
    admin.post(f"{V}/types", {"volume_type": {"name": "other", "extra_specs": {"volume_backend_name": "ceph"}}})
    assert act(member, volume_id, "os-retype", {"new_type": "other"}).status == 400
    assert act(member, volume_id, "os-retype", {"new_type": "nothing"}).status == 404
    assert act(member, volume_id, "os-retype", {"new_type": "same", "migration_policy": "never"}).status == 202
    assert show(member, volume_id)["volume_type"] == "same"


def test_attachments_api(cloud, member):
    volume_id = make_available(cloud, member)
    made = member.post(f"{V}/attachments", {"attachment": {"volume_uuid": volume_id, "instance_uuid": SERVER}})
    assert made.status == 200, made.text
    attachment = made.json["attachment"]
    path = f"{V}/attachments/{attachment['id']}"
    assert attachment["status"] == "reserved" and show(member, volume_id)["status"] == "reserved"
    other = {"attachment": {"volume_uuid": volume_id, "instance_uuid": SERVER.replace("1", "9")}}
    assert member.post(f"{V}/attachments", other).status == 400
    assert member.put(path, {"attachment": {"connector": {}}}).status == 400
    connected = member.put(path, {"attachment": {"connector": {"host": "h", "mountpoint": "/dev/vdc"}}})
    assert connected.json["attachment"]["connection_info"]["driver_volume_type"] == "local"
    assert show(member, volume_id)["status"] == "attaching"
    assert member.post(f"{path}/action", {"os-complete": attachment["id"]}).status == 204
    assert show(member, volume_id)["status"] == "in-use"
    assert member.get(path).json["attachment"]["status"] == "attached"
    assert [one["id"] for one in member.get(f"{V}/attachments").json["attachments"]] == [attachment["id"]]
    assert member.get(f"{V}/attachments?volume_id={SERVER}").json["attachments"] == []
    assert cloud.client("member@green", OpenStack_API_Version="volume 3.71").get(path).status == 404
    assert member.delete(path).json == {"attachments": []}
    assert show(member, volume_id)["status"] == "available"
    assert cloud.client("member").get(f"{V}/attachments").status == 404
