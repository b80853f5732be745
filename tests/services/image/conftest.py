# SPDX-License-Identifier: Apache-2.0
"""A cloud with the image service over a store in memory."""

import pytest

from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.drivers.image_store.fake import FakeImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.services.image.service import SERVICE
from altostratus.testing.cloud import TestCloud

DATA = {"Content-Type": "application/octet-stream"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
IMAGES = "/image/v2/images"


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "store"
    directory.mkdir()
    return FakeImageStore(directory=str(directory))


@pytest.fixture
def cloud(tmp_path, store):
    def prepare(made):
        made.add_part(ImageStore, store)
        made.add_part(DiskInspector, HeaderInspector())
        made.add_part(StagingArea, StagingArea(directory=str(tmp_path)))

    with TestCloud(tmp_path, services=(SERVICE,), prepare=prepare) as made:
        yield made


@pytest.fixture
def member(cloud):
    return cloud.client("member")


def make(client, **members):
    return client.post(IMAGES, {"name": "i", "disk_format": "raw", "container_format": "bare", **members})


def make_active(client, content=b"some data", **members):
    image_id = make(client, **members).json["id"]
    sent = client.put(f"{IMAGES}/{image_id}/file", content, headers=DATA)
    assert sent.status == 204, sent.text
    return image_id


def status_of(client, image_id):
    return client.get(f"{IMAGES}/{image_id}").json["status"]
