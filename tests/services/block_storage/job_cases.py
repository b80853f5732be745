# SPDX-License-Identifier: Apache-2.0
"""How each job of block storage is tested against power cuts, repetition and failing steps."""

import os

from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.drivers.image_store.file import FileImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.services.block_storage.jobs.snapshots import CREATE_SNAPSHOT, DELETE_SNAPSHOT
from altostratus.services.block_storage.jobs.upload import UPLOAD_VOLUME
from altostratus.services.block_storage.jobs.volumes import CREATE_VOLUME, DELETE_VOLUME, EXTEND_VOLUME
from altostratus.services.block_storage.service import SERVICE
from altostratus.services.image.service import SERVICE as IMAGE
from altostratus.testing.cloud import TestCloud
from altostratus.testing.jobs_suite import JobCase
from tests.services.block_storage.conftest import LATEST, StorageHost, V, act, make, make_available, snapshot


def agents():
    return {"block_storage": StorageHost()}


def open_cloud(directory, machines):
    """The image store lies in the directory, as the disks do on the machine."""

    def prepare(made):
        made.add_part(ImageStore, FileImageStore(str(directory / "images")))
        made.add_part(DiskInspector, HeaderInspector())
        staging = directory / "staging"
        staging.mkdir(exist_ok=True)
        made.add_part(StagingArea, StagingArea(directory=str(staging)))

    cloud = TestCloud(directory, services=(IMAGE, SERVICE), prepare=prepare)
    for name, agent in machines.items():
        cloud.add_agent(name, agent)
    return cloud


def member(cloud):
    return cloud.client("member", **LATEST)


def volumes(cloud):
    return member(cloud).get(f"{V}/volumes/detail").json["volumes"]


def snapshots(cloud):
    return member(cloud).get(f"{V}/snapshots/detail").json["snapshots"]


def things(cloud, kind="volume"):
    """What the machine has."""
    return cloud.agents["block_storage"].specs(kind)


def the_volume(cloud):
    (volume,) = volumes(cloud)
    return volume


# create


def prepare_create(cloud):
    return lambda: make(member(cloud), size=2)


def created(cloud):
    assert the_volume(cloud)["status"] == "available"
    assert list(things(cloud)) == [the_volume(cloud)["id"]]


def not_created(cloud):
    assert things(cloud) == {}
    assert all(volume["status"] == "error" for volume in volumes(cloud))


# delete


def prepare_delete(cloud):
    volume_id = make_available(cloud, member(cloud))
    snapshot(cloud, member(cloud), volume_id)
    return lambda: member(cloud).delete(f"{V}/volumes/{volume_id}?cascade=true")


def deleted(cloud):
    assert volumes(cloud) == [] and snapshots(cloud) == []
    assert things(cloud) == {} and things(cloud, "snapshot") == {}


def not_deleted(cloud):
    assert the_volume(cloud)["status"] == "available" and len(snapshots(cloud)) == 1
    assert len(things(cloud)) == 1 and len(things(cloud, "snapshot")) == 1


# extend


def prepare_extend(cloud):
    volume_id = make_available(cloud, member(cloud))
    return lambda: act(member(cloud), volume_id, "os-extend", {"new_size": 4})


def extended(cloud):
    volume = the_volume(cloud)
    assert (volume["status"], volume["size"]) == ("available", 4)
    assert things(cloud)[volume["id"]]["size_gib"] == 4


def not_extended(cloud):
    volume = the_volume(cloud)
    assert (volume["status"] in ("available", "error_extending"), volume["size"]) == (True, 1)
    quota = member(cloud).get(f"{V}/os-quota-sets/{member(cloud).project_id}?usage=true").json["quota_set"]
    assert quota["gigabytes"]["in_use"] == 1


# upload


def prepare_upload(cloud):
    volume_id = make_available(cloud, member(cloud))
    return lambda: act(member(cloud), volume_id, "os-volume_upload_image", {"image_name": "copy"})


def images(cloud):
    return member(cloud).get("/image/v2/images").json["images"]


def nothing_half_done(cloud):
    volume = the_volume(cloud)
    assert volume["status"] == "available"
    assert "export_token" not in {name for name, value in things(cloud)[volume["id"]].items() if value}
    assert os.listdir(cloud.directory / "staging") == []


def uploaded(cloud):
    nothing_half_done(cloud)
    (image,) = images(cloud)
    assert image["status"] == "active"
    assert member(cloud).get(f"/image/v2/images/{image['id']}/file").content == b"volume data"


def not_uploaded(cloud):
    nothing_half_done(cloud)
    assert images(cloud) == [] and cloud.cloud.part(ImageStore).list_locations() == []


# snapshots


def prepare_snapshot(cloud):
    volume_id = make_available(cloud, member(cloud))
    return lambda: member(cloud).post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id}})


def snapshot_taken(cloud):
    (taken,) = snapshots(cloud)
    assert taken["status"] == "available" and list(things(cloud, "snapshot")) == [taken["id"]]


def snapshot_not_taken(cloud):
    assert things(cloud, "snapshot") == {}
    assert all(one["status"] == "error" for one in snapshots(cloud))


def prepare_snapshot_deletion(cloud):
    snapshot_id = snapshot(cloud, member(cloud), make_available(cloud, member(cloud)))
    return lambda: member(cloud).delete(f"{V}/snapshots/{snapshot_id}")


def snapshot_gone(cloud):
    assert snapshots(cloud) == [] and things(cloud, "snapshot") == {}


CASES = [
    JobCase(CREATE_VOLUME, agents, open_cloud, prepare_create, created, not_created),
    JobCase(DELETE_VOLUME, agents, open_cloud, prepare_delete, deleted, not_deleted),
    JobCase(EXTEND_VOLUME, agents, open_cloud, prepare_extend, extended, not_extended),
    JobCase(UPLOAD_VOLUME, agents, open_cloud, prepare_upload, uploaded, not_uploaded),
    JobCase(CREATE_SNAPSHOT, agents, open_cloud, prepare_snapshot, snapshot_taken, snapshot_not_taken),
    JobCase(DELETE_SNAPSHOT, agents, open_cloud, prepare_snapshot_deletion, snapshot_gone, snapshot_taken),
]
