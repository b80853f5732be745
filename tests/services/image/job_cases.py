# SPDX-License-Identifier: Apache-2.0
"""How each job of the image service is tested against power cuts, repetition and failing steps."""

from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.drivers.image_store.file import FileImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.services.image.jobs.delete_data import DELETE_DATA
from altostratus.services.image.jobs.import_image import IMPORT_IMAGE
from altostratus.services.image.service import SERVICE
from altostratus.testing.cloud import TestCloud
from altostratus.testing.jobs_suite import JobCase
from tests.services.image.conftest import DATA, IMAGES, make, make_active


def open_cloud(directory, _machines):
    def prepare(made):
        made.add_part(ImageStore, FileImageStore(str(directory / "images")))
        made.add_part(DiskInspector, HeaderInspector())
        made.add_part(StagingArea, StagingArea(directory=str(directory)))

    return TestCloud(directory, services=(SERVICE,), prepare=prepare)


def the_image(cloud):
    (image,) = cloud.client("member").get(IMAGES).json["images"]
    return image


def locations(cloud):
    return cloud.cloud.part(ImageStore).list_locations()


def prepare_delete(cloud):
    image_id = make_active(cloud.client("member"))
    return lambda: cloud.client("member").delete(f"{IMAGES}/{image_id}")


def deleted(cloud):
    assert locations(cloud) == [] and cloud.client("member").get(IMAGES).json["images"] == []


def not_deleted(cloud):
    assert locations(cloud) == [f"file:{the_image(cloud)['id']}"] and the_image(cloud)["status"] == "active"


def prepare_import(cloud):
    member = cloud.client("member")
    image_id = make(member).json["id"]
    assert member.put(f"{IMAGES}/{image_id}/stage", b"staged", headers=DATA).status == 204
    return lambda: member.post(f"{IMAGES}/{image_id}/import", {"method": {"name": "glance-direct"}})


def imported(cloud):
    image = the_image(cloud)
    assert image["status"] == "active" and locations(cloud) == [f"file:{image['id']}"]
    assert cloud.client("member").get(f"{IMAGES}/{image['id']}/file").content == b"staged"


def not_imported(cloud):
    """Never begun: the staged data waits. Failed: the image is queued again and nothing is left."""
    image = the_image(cloud)
    if image["status"] == "uploading":
        assert locations(cloud) == [f"file:{image['id']}-staged"]
    else:
        assert (image["status"], image["size"], locations(cloud)) == ("queued", None, [])


CASES = [
    JobCase(DELETE_DATA, dict, open_cloud, prepare_delete, deleted, not_deleted),
    JobCase(IMPORT_IMAGE, dict, open_cloud, prepare_import, imported, not_imported),
]
