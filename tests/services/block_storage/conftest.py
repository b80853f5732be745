# SPDX-License-Identifier: Apache-2.0
"""A cloud with block storage and images, and a storage host that does everything at once."""

import pytest

from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.drivers.image_store.fake import FakeImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.services.block_storage.service import SERVICE
from altostratus.services.image.service import SERVICE as IMAGE
from altostratus.testing.cloud import InstantAgent, TestCloud

V = "/volume/v3"
LATEST = {"OpenStack-API-Version": "volume 3.71"}
CAPABILITIES = {"thin_provisioning_support": True, "max_over_subscription_ratio": "2.0", "multiattach": False}


class StorageHost(InstantAgent):
    """One back end of 100 GiB. Exports are written as the real one would."""

    def __init__(self, name="file", total_gib=100.0):
        super().__init__(("volume", "snapshot"), self._state)
        self.name, self.total_gib = name, total_gib
        self.exported = set()

    def facts(self):
        backend = {
            "name": self.name, "driver": "fake", "protocol": "file", "total_gib": self.total_gib,
            "free_gib": self.total_gib, "capabilities": CAPABILITIES,
        }  # fmt: skip
        return {"backends": [backend]}

    def _state(self, wanted):
        if wanted.spec.get("export_path") and wanted.spec["export_token"] not in self.exported:
            self.exported.add(wanted.spec["export_token"])
            with open(wanted.spec["export_path"], "wb") as file:
                file.write(b"volume data")
        return {"present": True, "path": f"/disks/{wanted.id}", "format": wanted.spec.get("format")}

    def specs(self, kind="volume"):
        return {key.id: row.spec for key, row in self.seen.items() if key.kind == kind}


@pytest.fixture
def host():
    return StorageHost()


@pytest.fixture
def cloud(tmp_path, host):
    def prepare(made):
        made.add_part(ImageStore, FakeImageStore(directory=str(tmp_path)))
        made.add_part(DiskInspector, HeaderInspector())
        made.add_part(StagingArea, StagingArea(directory=str(tmp_path)))

    with TestCloud(tmp_path, services=(IMAGE, SERVICE), prepare=prepare) as made:
        made.add_agent("block_storage", host)
        yield made


@pytest.fixture
def member(cloud):
    return cloud.client("member", **LATEST)


@pytest.fixture
def admin(cloud):
    return cloud.client("admin", **LATEST)


def make(client, size=1, **members):
    return client.post(f"{V}/volumes", {"volume": {"size": size, **members}})


def make_available(cloud, client, **members):
    made = make(client, **members)
    assert made.status == 202, made.text
    cloud.settle()
    volume_id = made.json["volume"]["id"]
    assert show(client, volume_id)["status"] == "available"
    return volume_id


def show(client, volume_id):
    return client.get(f"{V}/volumes/{volume_id}").json["volume"]


def act(client, volume_id, name, value=None):
    return client.post(f"{V}/volumes/{volume_id}/action", {name: value})


def make_image(client, content=b"data", **members):
    body = {"name": "i", "disk_format": "raw", "container_format": "bare", **members}
    image_id = client.post("/image/v2/images", body).json["id"]
    sent = client.put(
        f"/image/v2/images/{image_id}/file", content, headers={"Content-Type": "application/octet-stream"}
    )
    assert sent.status == 204, sent.text
    return image_id


def snapshot(cloud, client, volume_id, **members):
    made = client.post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id, **members}})
    assert made.status == 202, made.text
    cloud.settle()
    return made.json["snapshot"]["id"]
