# SPDX-License-Identifier: Apache-2.0
"""The door of block storage, as compute uses it."""

import pytest

from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.services.block_storage import public
from altostratus.testing.personas import PersonaAuthenticator
from tests.services.block_storage.conftest import V, make_available, show, snapshot

SERVER = "11111111-2222-4333-8444-555555555555"


def context(token="member"):
    return PersonaAuthenticator().authenticate(token)


def write(cloud, work):
    with cloud.cloud.db.write() as tx:
        return work(tx)


def test_a_volume_is_available_when_its_want_is_observed(cloud, member):
    def begin(tx):
        volume_id = public.create_volume(tx, cloud.cloud, context(), name="root", size_gib=2, request_id="req-1")
        want = public.volume_want(tx, cloud.cloud, volume_id)
        return volume_id, want, cloud.cloud.desired.want(tx, want)

    volume_id, want, generation = write(cloud, begin)
    assert (want.kind, want.id, want.host, want.spec["size_gib"]) == ("volume", volume_id, "host-1", 2)
    cloud._run_agent("block_storage")
    assert show(member, volume_id)["status"] == "available"
    cloud.settle()
    assert (
        write(cloud, lambda tx: cloud.cloud.desired.want(tx, public.volume_want(tx, cloud.cloud, volume_id)))
        == generation
    )
    info = write(cloud, lambda tx: public.get_volume(tx, context(), volume_id))
    assert (info.status, info.path, info.format, info.size_gib) == ("available", f"/disks/{volume_id}", "qcow2", 2)
    with pytest.raises(NotFound):
        write(cloud, lambda tx: public.get_volume(tx, context("member@green"), volume_id))


def test_a_volume_that_fits_nowhere(cloud):
    volume_id = write(
        cloud, lambda tx: public.create_volume(tx, cloud.cloud, context(), name="r", size_gib=900, request_id="req-1")
    )
    with pytest.raises(Conflict, match="No valid backend"):
        write(cloud, lambda tx: public.volume_want(tx, cloud.cloud, volume_id))


def test_attaching(cloud, member):
    volume_id = make_available(cloud, member)
    attachment_id = write(cloud, lambda tx: public.reserve(tx, volume_id, SERVER, "/dev/vdb"))
    assert show(member, volume_id)["status"] == "attaching"
    with pytest.raises(BadRequest):
        write(cloud, lambda tx: public.reserve(tx, volume_id, SERVER.replace("1", "2"), "/dev/vdb"))
    write(cloud, lambda tx: public.complete(tx, attachment_id))
    write(cloud, lambda tx: public.set_device(tx, attachment_id, "/dev/vdc"))
    assert show(member, volume_id)["attachments"][0]["device"] == "/dev/vdc"
    found = write(cloud, lambda tx: public.attachments_of_servers(tx, [SERVER, "other"]))
    assert [one.volume_id for one in found[SERVER]] == [volume_id] and list(found) == [SERVER]
    write(cloud, lambda tx: public.begin_detach(tx, attachment_id))
    assert show(member, volume_id)["status"] == "detaching"
    write(cloud, lambda tx: public.roll_back_detach(tx, attachment_id))
    write(cloud, lambda tx: public.begin_detach(tx, attachment_id))
    assert write(cloud, lambda tx: public.detach(tx, attachment_id)) == volume_id
    assert write(cloud, lambda tx: public.detach(tx, attachment_id)) is None
    assert show(member, volume_id)["status"] == "available"


def test_a_volume_with_snapshots_stays(cloud, member):
    volume_id = make_available(cloud, member)
    snapshot(cloud, member, volume_id)
    assert write(cloud, lambda tx: public.delete_volume(tx, cloud.cloud, volume_id, "req-1")) is False
    assert show(member, volume_id)["status"] == "available"
    assert "snapshots" in member.get(f"{V}/messages").json["messages"][0]["user_message"]


def test_a_snapshot_of_a_volume_in_use(cloud, member):
    volume_id = make_available(cloud, member)
    write(cloud, lambda tx: public.complete(tx, public.reserve(tx, volume_id, SERVER, "/dev/vda")))
    snapshot_id = write(
        cloud, lambda tx: public.create_snapshot(tx, cloud.cloud, context(), volume_id, name="s", request_id="req-1")
    )
    cloud.settle()
    assert write(cloud, lambda tx: public.get_snapshot(tx, context(), snapshot_id)).status == "available"


def test_deleting(cloud, member):
    volume_id = make_available(cloud, member)
    for _ in range(2):
        write(cloud, lambda tx: public.delete_volume(tx, cloud.cloud, volume_id, "req-1"))
    cloud.settle()
    assert member.get(f"{V}/volumes/{volume_id}").status == 404
    write(cloud, lambda tx: public.delete_volume(tx, cloud.cloud, volume_id, "req-1"))
