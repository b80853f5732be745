# SPDX-License-Identifier: Apache-2.0
"""Image data: upload, refusals that leave nothing, ranges, staging and import, uploads that die."""

import hashlib
import io
import os
import struct

import pytest

from altostratus.contracts.image_store import ImageStoreError
from altostratus.services.image import public
from altostratus.services.image.logic import uploads
from altostratus.services.image.models import ImageRow
from altostratus.services.image.reconcilers import Orphans, look_after_images
from altostratus.testing.personas import PersonaAuthenticator
from tests.services.image.conftest import DATA, IMAGES, make, make_active, status_of


def qcow2(size=1 << 30, backing=b""):
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 112 if backing else 0, len(backing), 16, size, 0, 1, 65536, 131072, 1, 0, 0
    )
    return (header.ljust(112, b"\0") + backing).ljust(3 * 65536, b"\0")


def test_upload_and_download(cloud, member, store):
    content = os.urandom(3000)
    image_id = make_active(member, content)
    image = member.get(f"{IMAGES}/{image_id}").json
    assert (image["status"], image["size"], image["virtual_size"], image["stores"]) == ("active", 3000, 3000, "file")
    assert image["checksum"] == hashlib.md5(content).hexdigest()
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha512", hashlib.sha512(content).hexdigest())
    got = member.get(f"{IMAGES}/{image_id}/file")
    assert got.content == content and got.headers["content-md5"] == image["checksum"]
    assert got.headers["content-length"] == "3000"
    assert member.put(f"{IMAGES}/{image_id}/file", b"again", headers=DATA).status == 409
    assert member.delete(f"{IMAGES}/{image_id}").status == 204
    cloud.settle()
    assert store.list_locations() == []


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [("bytes=0-4", 206, 0, 5), ("bytes=2990-", 206, 2990, 3000), ("bytes=-10", 206, 2990, 3000),
     ("bytes=5-99999", 206, 5, 3000), ("bytes=3000-", 416, 0, 0), ("bytes=9-3", 416, 0, 0), ("bytes=-", 416, 0, 0)],
)  # fmt: skip
def test_ranges(member, asked, status, first, last):
    content = os.urandom(3000)
    got = member.get(f"{IMAGES}/{make_active(member, content)}/file", headers={"Range": asked})
    assert got.status == status
    if status == 206:
        assert got.content == content[first:last]
        assert got.headers["content-range"] == f"bytes {first}-{last - 1}/3000"


def test_no_data_is_204(member):
    assert member.get(f"{IMAGES}/{make(member).json['id']}/file").status == 204


def test_virtual_size_of_qcow2(member):
    image_id = make_active(member, qcow2(5 << 30), disk_format="qcow2")
    assert member.get(f"{IMAGES}/{image_id}").json["virtual_size"] == 5 << 30


@pytest.mark.parametrize(
    ("members", "content", "headers", "status"),
    [
        ({"disk_format": "qcow2"}, b"no qcow2", DATA, 415),
        ({"disk_format": "raw"}, qcow2(), DATA, 415),
        ({"disk_format": "qcow2"}, qcow2(backing=b"/etc/passwd"), DATA, 415),
        ({"disk_format": "qcow2"}, qcow2(size=1 << 60), DATA, 415),
        ({}, b"data", {"Content-Type": "application/json"}, 415),
        ({"disk_format": None}, b"data", DATA, 400),
        ({}, b"data", DATA | {"x-openstack-image-size": "99"}, 400),
        ({}, b"data", DATA | {"x-openstack-image-size": "much"}, 400),
    ],
)
def test_refused_data_leaves_the_image_queued_and_nothing_else(member, store, members, content, headers, status):
    image_id = make(member, **members).json["id"]
    refused = member.put(f"{IMAGES}/{image_id}/file", content, headers=headers)
    assert refused.status == status, refused.text
    assert status_of(member, image_id) == "queued" and store.list_locations() == []


@pytest.mark.parametrize(("code", "status"), [("full", 413), ("too_large", 413), ("io", 503)])
def test_store_that_fails(member, store, code, status):
    image_id = make(member).json["id"]
    store.fail_next = ImageStoreError(code, "The store says no.")
    assert member.put(f"{IMAGES}/{image_id}/file", b"data", headers=DATA).status == status
    assert status_of(member, image_id) == "queued"
    assert member.put(f"{IMAGES}/{image_id}/file", b"data", headers=DATA).status == 204


def test_stage_and_import(cloud, member, store):
    image_id = make(member).json["id"]
    path = f"{IMAGES}/{image_id}"
    wanted = {"method": {"name": "glance-direct"}}
    assert member.post(f"{path}/import", wanted).status == 409
    assert member.put(f"{path}/stage", b"staged data", headers=DATA).status == 204
    assert status_of(member, image_id) == "uploading" and member.get(f"{path}/file").status == 204
    look_after_images(cloud.cloud)
    assert member.post(f"{path}/import", {"method": {"name": "web-download"}}).status == 400
    assert member.post(f"{path}/import", {}).status == 400
    assert member.post(f"{path}/import", wanted | {"all_stores": "yes"}).status == 400
    assert member.post(f"{path}/import", wanted | {"stores": ["moon"]}).status == 409
    started = member.post(f"{path}/import", wanted)
    assert started.status == 202
    cloud.settle()
    assert member.get(f"{path}/file").content == b"staged data"
    assert store.list_locations() == [f"file:{image_id}"]
    (task,) = member.get(f"{path}/tasks").json["tasks"]
    assert (task["status"], task["request_id"]) == ("success", started.headers["x-openstack-request-id"])
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"
    assert member.post(f"{path}/import", wanted).status == 409


def test_import_of_bad_data_gives_the_image_back(cloud, member, store):
    image_id = make(member, disk_format="qcow2").json["id"]
    assert member.put(f"{IMAGES}/{image_id}/stage", b"no qcow2", headers=DATA).status == 204
    assert member.post(f"{IMAGES}/{image_id}/import", {"method": {"name": "glance-direct"}}).status == 202
    cloud.settle()
    image = member.get(f"{IMAGES}/{image_id}").json
    assert (image["status"], image["size"], image["os_glance_failed_import"]) == ("queued", None, "file")
    assert store.list_locations() == []
    assert member.get(f"{IMAGES}/{image_id}/tasks").json["tasks"][0]["status"] == "failure"


def test_a_killed_upload_does_not_stay_saving(cloud, member, store):
    image_id = make(member).json["id"]
    with cloud.cloud.db.write() as tx:
        uploads.begin(tx, cloud.cloud, image_id, "dead-process/1", "saving")
    assert status_of(member, image_id) == "saving"
    look_after_images(cloud.cloud)
    assert status_of(member, image_id) == "queued"
    assert member.put(f"{IMAGES}/{image_id}/file", b"data", headers=DATA).status == 204


def test_a_running_upload_is_left_alone_and_a_deleted_image_takes_its_data_along(cloud, member, store):
    image_id = make(member).json["id"]

    class Slow(io.BytesIO):
        """Looks after the images, and deletes this one, while its data arrives."""

        def __init__(self):
            super().__init__()
            self.left = [b"first", b"second", b""]

        def read(self, _size=-1):
            if len(self.left) == 3:
                look_after_images(cloud.cloud)
                assert status_of(member, image_id) == "saving"
            elif len(self.left) == 2:
                assert member.delete(f"{IMAGES}/{image_id}").status == 204
            return self.left.pop(0)

    environ = {"wsgi.input": Slow(), "wsgi.input_terminated": True}
    answered = member._client.simulate_put(
        f"{IMAGES}/{image_id}/file", headers=DATA | {"X-Auth-Token": "member"}, extras=environ
    )
    assert answered.status_code == 410
    assert store.list_locations() == []


def put_orphan(store):
    location = "00000000-0000-4000-8000-000000000000"
    store.write(location, io.BytesIO(b"orphan"), expected_size=None, max_bytes=100)
    return f"file:{location}"


def test_orphans_go_after_a_while(cloud, member, store):
    keep = make_active(member)
    orphan = put_orphan(store)
    look_after_images(cloud.cloud)
    assert orphan in store.list_locations()
    cloud.cloud.part(Orphans).grace_s = 0
    look_after_images(cloud.cloud)
    assert store.list_locations() == [f"file:{keep}"]


def test_an_empty_database_empties_no_store(cloud, store):
    orphan = put_orphan(store)
    cloud.cloud.part(Orphans).grace_s = 0
    look_after_images(cloud.cloud)
    assert store.list_locations() == [orphan]


# the door for other services


def context(token="member"):
    return PersonaAuthenticator().authenticate(token)


def snapshot(cloud, **options):
    with cloud.cloud.db.write() as tx:
        return public.create_snapshot_image(
            tx, cloud.cloud, context(), name="snap", disk_format="raw", properties={"a": "b"}, **options
        )


def test_snapshot_becomes_an_image(cloud, member, store):
    image_id = snapshot(cloud, min_disk_gib=1)
    assert status_of(member, image_id) == "saving"
    look_after_images(cloud.cloud)
    with open(public.staging_path(cloud.cloud, image_id), "wb") as file:
        file.write(b"disk")
    public.finish_snapshot_image(cloud.cloud, image_id)
    public.finish_snapshot_image(cloud.cloud, image_id)
    assert member.get(f"{IMAGES}/{image_id}/file").content == b"disk"
    with cloud.cloud.db.read() as tx:
        info = public.get_image(tx, context(), image_id)
        source = public.local_source(cloud.cloud, tx, image_id)
        assert public.find_images(tx, [image_id, "none"]) == {image_id: info}
    assert (info.status, info.min_disk_gib, info.properties, source.format) == ("active", 1, {"a": "b"}, "raw")
    with open(source.path, "rb") as file:
        assert file.read() == b"disk"


def test_snapshot_given_up(cloud, member, store):
    image_id = snapshot(cloud)
    public.discard_snapshot_image(cloud.cloud, image_id)
    public.discard_snapshot_image(cloud.cloud, image_id)
    assert member.get(f"{IMAGES}/{image_id}").status == 404 and store.list_locations() == []


def test_public_image_from_a_file(cloud, member, store, tmp_path):
    image_id, path = "", tmp_path / "mini.raw"
    for _ in range(2):
        path.write_bytes(b"mini")
        image_id = public.ensure_public_image(
            cloud.cloud, name="mini", path=str(path), disk_format="raw", properties={"os_distro": "mini"}, min_ram=64
        )
    (image,) = member.get(IMAGES).json["images"]
    assert (image["id"], image["visibility"], image["status"], image["min_ram"]) == (image_id, "public", "active", 64)
    assert path.exists()
    path.unlink()
    with cloud.cloud.db.write() as tx:
        tx.update(ImageRow, image_id, status="saving", location=None)
    again = public.ensure_public_image(cloud.cloud, name="mini", path=str(path), disk_format="raw", properties={})
    assert again == image_id and status_of(member, image_id) == "active"
