# SPDX-License-Identifier: Apache-2.0
"""Images of servers, rebuilding, resizing, consoles, history."""

import base64

from .people import words_of


def image_of(member, image_id):
    return member.client.get(f"/image/v2/images/{image_id}").json


def test_create_image(member, cloud, agent, server, image):
    made = member.act(server, "createImage", {"name": "snap", "metadata": {"k": "v"}})
    assert made.status == 202
    image_id = made.json["image_id"]
    assert made.headers["location"].endswith(image_id)
    assert member.show(server)["OS-EXT-STS:task_state"] == "image_snapshot_pending"
    cloud.settle()
    found = image_of(member, image_id)
    assert found["status"] == "active" and found["name"] == "snap" and found["disk_format"] == "qcow2"
    assert found["image_type"] == "snapshot" and found["instance_uuid"] == server and found["k"] == "v"
    assert found["base_image_ref"] == image and found["min_disk"] == 1
    assert member.show(server)["OS-EXT-STS:task_state"] is None
    old = member.act(server, "createImage", {"name": "second"}, version="2.1")
    assert old.json is None and old.headers["location"]
    cloud.settle()
    assert member.act(server, "createImage", {"name": ""}).status == 400
    # a server can be made from it
    member.make_server(image_id, "none")


def test_a_failed_image_goes_away(member, agent, server):
    agent.fail[server] = "The disk is full."
    made = member.do(server, "createImage", {"name": "snap"})
    assert member.client.get(f"/image/v2/images/{made.json['image_id']}").status == 404
    assert agent.spec_of(server).snapshot_token is None
    agent.fail.clear()
    assert member.show(server)["status"] == "ACTIVE"


def test_rebuild(member, agent, server):
    other = member.make_image("other", b"other disk")
    before, port = agent.spec_of(server), member.ports_of(server)[0]["id"]
    data = base64.b64encode(b"#!/bin/sh\n").decode()
    done = member.do(server, "rebuild", {"imageRef": other, "name": "again", "user_data": data, "metadata": {"n": "1"}})
    assert done.json["server"]["id"] == server and done.json["server"]["user_data"] == data
    assert len(done.json["server"]["adminPass"]) == 12
    shown = member.show(server)
    assert shown["status"] == "ACTIVE" and shown["image"]["id"] == other and shown["name"] == "again"
    assert shown["metadata"] == {"n": "1"}
    spec = agent.spec_of(server)
    assert spec.disks[0].image.id == other and spec.disks[0].fill_token not in (None, before.disks[0].fill_token)
    assert spec.disks[0].serial == before.disks[0].serial
    assert [one["id"] for one in member.ports_of(server)] == [port]
    member.do(server, "os-stop")
    member.do(server, "rebuild", {"imageRef": other})
    assert member.show(server)["status"] == "SHUTOFF"


def test_bad_rebuilds(member, server, image):
    missing = "00000000-0000-0000-0000-000000000000"
    assert member.act(server, "rebuild", {"imageRef": missing}).status == 400
    assert member.act(server, "rebuild", {"imageRef": "bogus"}).status == 400
    assert member.act(server, "rebuild", {"imageRef": image, "name": ""}).status == 400
    assert member.act(server, "rebuild", {"imageRef": image, "key_name": "nobody"}).status == 400
    assert member.act(server, "rebuild", {}).status == 400
    assert member.act(server, "rebuild", {"imageRef": image, "user_data": "IQ=="}, version="2.1").status == 400
    big = member.make_image("big", min_ram=4096)
    assert member.act(server, "rebuild", {"imageRef": big}).status == 400


def test_resize_and_confirm(member, admin, agent, server):
    member.do(server, "resize", {"flavorRef": "1"})
    shown = member.show(server)
    assert shown["status"] == "VERIFY_RESIZE" and shown["flavor"]["original_name"] == "m1.tiny"
    assert agent.spec_of(server).memory_mib == 512
    assert member.do(server, "confirmResize").status == 204
    assert member.show(server)["status"] == "ACTIVE"
    assert member.read("/limits")["limits"]["absolute"]["totalRAMUsed"] == 512


def test_resize_and_revert(member, agent, server):
    member.do(server, "resize", {"flavorRef": "2"})
    assert agent.spec_of(server).disks[0].size_gib == 20
    member.do(server, "revertResize")
    shown = member.show(server)
    assert shown["status"] == "ACTIVE" and shown["flavor"]["original_name"] == "m1.mini"
    assert agent.spec_of(server).memory_mib == 128


def test_bad_resizes(member, admin, server):
    assert member.act(server, "resize", {"flavorRef": "none"}).status == 400
    same = member.act(server, "resize", {"flavorRef": "0"})
    assert same.status == 400 and "must change flavor" in words_of(same)
    admin.post("/flavors", {"flavor": {"name": "nodisk", "id": "nd", "ram": 64, "vcpus": 1, "disk": 0}})
    assert member.act(server, "resize", {"flavorRef": "nd"}).status == 400
    admin.put(f"/os-quota-sets/{member.project_id}", {"quota_set": {"ram": 128}})
    refused = member.act(server, "resize", {"flavorRef": "1"})
    assert refused.status == 403 and words_of(refused).startswith("Quota exceeded for ram")


def test_moving_needs_a_second_host(admin, server):
    refused = admin.act(server, "migrate")
    assert refused.status == 400 and "No valid host" in words_of(refused)
    assert admin.act(server, "os-migrateLive", {"host": None, "block_migration": "auto"}).status == 400
    assert admin.act(server, "evacuate", {}).status == 400


def test_console_output(member, server):
    whole = member.act(server, "os-getConsoleOutput", {})
    assert whole.status == 200 and "Simulated guest s" in whole.json["output"]
    last = member.act(server, "os-getConsoleOutput", {"length": 1}).json["output"]
    assert last and "\n" not in last
    assert member.act(server, "os-getConsoleOutput", {"length": 0}).json["output"] == ""
    assert member.act(server, "os-getConsoleOutput", {"length": -1}).status == 200
    assert member.act(server, "os-getConsoleOutput", {"length": "many"}).status == 400


def test_consoles(member, admin, other, server):
    asked = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    opened = member.post(f"/servers/{server}/remote-consoles", asked)
    assert opened.status == 200
    url = opened.json["remote_console"]["url"]
    assert "/vnc_auto.html?path=%3Ftoken%3D" in url
    token = url.partition("%3D")[2]
    shown = admin.read(f"/os-console-auth-tokens/{token}")["console"]
    assert shown["instance_uuid"] == server and shown["host"] == "host-1"
    assert admin.get("/os-console-auth-tokens/bogus").status == 404
    assert other.post(f"/servers/{server}/remote-consoles", asked).status == 404
    spice = {"remote_console": {"protocol": "spice", "type": "spice-html5"}}
    assert member.post(f"/servers/{server}/remote-consoles", spice).status == 400
    serial = {"remote_console": {"protocol": "serial", "type": "serial"}}
    opened = member.post(f"/servers/{server}/remote-consoles", serial).json["remote_console"]
    assert opened["url"].startswith("ws://") and "?token=" in opened["url"]
    old = member.act(server, "os-getVNCConsole", {"type": "novnc"}, version="2.1")
    assert old.status == 200 and old.json["console"]["type"] == "novnc"
    assert member.act(server, "os-getVNCConsole", {"type": "novnc"}).status == 400


def test_diagnostics(admin, member, server):
    assert member.get(f"/servers/{server}/diagnostics").status == 403
    assert admin.read(f"/servers/{server}/diagnostics")["state"] == "running"
    assert "memory" in admin.read(f"/servers/{server}/diagnostics", version="2.1")
    member.do(server, "os-stop")
    assert admin.get(f"/servers/{server}/diagnostics").status == 409


def test_history(member, other, admin, cloud, server):
    listed = member.read(f"/servers/{server}/os-instance-actions")["instanceActions"]
    assert listed[0]["action"] == "create" and listed[0]["message"] is None
    path = f"/servers/{server}/os-instance-actions/{listed[0]['request_id']}"
    shown = member.read(path)["instanceAction"]
    assert any(one["event"] == "compute__do_build_and_run_instance" for one in shown["events"])
    assert all(one["result"] == "Success" for one in shown["events"])
    assert "traceback" in admin.read(path)["instanceAction"]["events"][0]
    assert member.get(f"/servers/{server}/os-instance-actions/req-none").status == 404
    assert other.get(f"/servers/{server}/os-instance-actions").status == 404
    member.do(server, "os-stop")
    page = member.read(f"/servers/{server}/os-instance-actions?limit=1")
    assert [one["action"] for one in page["instanceActions"]] == ["stop"] and page["links"]
    marker = page["instanceActions"][0]["request_id"]
    rest = member.read(f"/servers/{server}/os-instance-actions?marker={marker}")["instanceActions"]
    assert [one["action"] for one in rest] == ["create"]
    member.delete(f"/servers/{server}")
    cloud.settle()
    after = member.read(f"/servers/{server}/os-instance-actions")["instanceActions"]
    assert after[0]["action"] == "delete"
    assert member.get(f"/servers/{server}/os-instance-actions", version="2.20").status == 404


def test_small_things(member, server):
    assert member.read(f"/servers/{server}/os-server-password") == {"password": ""}
    assert member.delete(f"/servers/{server}/os-server-password").status == 204
    assert member.read(f"/servers/{server}/topology")["nodes"][0]["memory_mb"] == 128
