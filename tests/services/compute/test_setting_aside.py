# SPDX-License-Identifier: Apache-2.0
"""Rescue and shelving."""

import pytest

from .people import words_of
from .test_volumes import attach, boot_volume


def test_rescue_and_back(member, agent, server, image):
    other = member.make_image("rescuer", b"rescue disk")
    own = agent.spec_of(server).disks[0]
    done = member.do(server, "rescue", {"rescue_image_ref": other})
    assert done.status == 200 and len(done.json["adminPass"]) == 12
    assert member.show(server)["status"] == "RESCUE" and member.show(server)["image"]["id"] == image
    first, second = agent.spec_of(server).disks
    assert (first.image.id, first.device, first.boot_index) == (other, "vda", 0)
    assert (second.serial, second.device, second.boot_index) == (own.serial, "vdb", None)
    for action in ("os-stop", "pause", "rescue", "shelve"):
        assert member.act(server, action, {} if action == "rescue" else None).status == 409
    assert attach(member, server, member.make_volume()).status == 409
    member.do(server, "unrescue")
    assert member.show(server)["status"] == "ACTIVE"
    assert agent.spec_of(server).disks == [own]
    assert member.act(server, "unrescue").status == 409


def test_rescue_needs_a_local_disk(member, image, network):
    server = member.make_server(network=network, block_device_mapping_v2=boot_volume(image))
    refused = member.act(server, "rescue", {})
    assert refused.status == 400 and "volume-backed" in words_of(refused)
    bogus = "00000000-0000-0000-0000-000000000000"
    assert member.act(server, "rescue", {"rescue_image_ref": bogus}).status == 400


def test_a_failed_rescue_changes_nothing(member, agent, server):
    own = agent.spec_of(server).disks
    agent.refuse = lambda spec: "No room for a second disk." if len(spec.disks) > 1 else None
    member.do(server, "rescue", {})
    assert member.show(server)["status"] == "ACTIVE" and agent.spec_of(server).disks == own
    assert agent.driver.show_server(server).power == "running"


def test_shelve_and_unshelve(member, admin, cloud, agent, server, image):
    port, volume = member.ports_of(server)[0]["id"], member.make_volume()
    attach(member, server, volume)
    cloud.settle()
    member.do(server, "shelve")
    shown = member.show(server)
    assert shown["status"] == "SHELVED_OFFLOADED" and shown["hostId"] == "" and shown["image"]["id"] == image
    assert agent.driver.list_servers() == [] and member.volume(volume)["status"] == "in-use"
    assert [one["status"] for one in member.ports_of(server)] == ["DOWN"]
    (kept,) = [one for one in member.client.get("/image/v2/images").json["images"] if one["name"] == "s-shelved"]
    assert member.act(server, "shelve").status == 409 and member.act(server, "os-start").status == 409
    assert admin.act(server, "shelveOffload").status == 409
    member.do(server, "unshelve")
    shown = member.show(server)
    assert shown["status"] == "ACTIVE" and shown["hostId"] and shown["image"]["id"] == image
    spec = agent.spec_of(server)
    assert spec.disks[0].image.id == kept["id"] and spec.disks[1].volume_id == volume
    assert [nic.port_id for nic in spec.nics] == [port] and member.ports_of(server)[0]["status"] == "ACTIVE"
    assert member.client.get(f"/image/v2/images/{kept['id']}").status == 404
    member.do(server, "os-stop")
    member.do(server, "os-start")


def test_unshelving_a_volume_backed_server(member, image, network):
    server = member.make_server(network=network, block_device_mapping_v2=boot_volume(image))
    member.do(server, "shelve")
    assert member.show(server)["status"] == "SHELVED_OFFLOADED"
    member.do(server, "unshelve")
    assert member.show(server)["status"] == "ACTIVE"


def test_a_server_that_finds_no_host_stays_shelved(member, admin, server):
    member.do(server, "shelve")
    (service,) = [one for one in admin.read("/os-services")["services"] if one["binary"] == "nova-compute"]
    admin.put(f"/os-services/{service['id']}", {"status": "disabled"})
    member.do(server, "unshelve")
    assert member.show(server)["status"] == "SHELVED_OFFLOADED"
    admin.put(f"/os-services/{service['id']}", {"status": "enabled"})
    member.do(server, "unshelve", {"availability_zone": "nova"})
    assert member.show(server)["status"] == "ACTIVE"


def test_a_shelved_server_can_be_deleted(member, cloud, server):
    member.do(server, "shelve")
    assert member.delete(f"/servers/{server}").status == 204
    cloud.settle()
    assert member.get(f"/servers/{server}").status == 404 and member.ports_of(server) == []


@pytest.mark.parametrize("value", [{"availability_zone": "nowhere"}, {"bogus": 1}, {"availability_zone": 5}])
def test_bad_unshelving(member, server, value):
    member.do(server, "shelve")
    assert member.act(server, "unshelve", value).status == 400
    assert member.act(server, "unshelve", {"host": "host-1"}).status == 403
