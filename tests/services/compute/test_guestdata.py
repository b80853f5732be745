# SPDX-License-Identifier: Apache-2.0
"""What guests read: metadata service and config drive."""

import base64
import json

import pytest

from altostratus.services.compute.guestdata.answer import metadata

DATA = b"#!/bin/sh\necho \xff\x00 exactly these bytes\n"


@pytest.fixture
def guest(member, cloud, image, network):
    """A server with everything, and a function that asks as it would."""
    key = {"keypair": {"name": "k", "public_key": _KEY}}
    assert member.post("/os-keypairs", key).status == 201
    server = member.make_server(
        image,
        networks=[{"uuid": network, "tag": "first"}],
        name="Web 1",
        key_name="k",
        metadata={"role": "web"},
        user_data=base64.encodebytes(DATA).decode(),
        config_drive=True,
    )
    ip = member.show(server)["addresses"]["inside"][0]["addr"]

    def ask(path, **params):
        asked = {"network_id": network, "ip": ip, "method": "GET", "path": path, "headers": {}} | params
        reply = metadata(cloud.cloud, asked)
        return reply["status"], base64.b64decode(reply["body_base64"])

    return server, ask


_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrShAQgt+9ZuPDQ1L2KrSwKxL8BEcqhytt7X3ZLZxiS me"


def test_ec2_tree(guest):
    _, ask = guest
    assert ask("/")[1].decode().splitlines()[-1] == "latest"
    assert ask("/latest")[1] == b"meta-data/\nuser-data"
    names = ask("/latest/meta-data/")[1].decode().splitlines()
    assert {"instance-id", "hostname", "local-ipv4", "placement/", "public-keys/"} <= set(names)
    assert ask("/latest/meta-data/hostname") == (200, b"web-1.novalocal")
    assert ask("/2009-04-04/meta-data/instance-type") == (200, b"m1.mini")
    assert ask("/latest/meta-data/public-keys/") == (200, b"0=k")
    assert ask("/latest/meta-data/public-keys/0/openssh-key")[1].decode().strip() == _KEY
    assert ask("/latest/meta-data/placement/availability-zone") == (200, b"nova")
    assert ask("/latest/meta-data/instance-id")[1].startswith(b"i-")
    assert ask("/latest/user-data") == (200, DATA)
    assert ask("/latest/meta-data/nothing")[0] == 404 and ask("/elsewhere")[0] == 404


def test_openstack_documents(guest, member):
    server, ask = guest
    assert "latest" in ask("/openstack")[1].decode().splitlines()
    meta = json.loads(ask("/openstack/latest/meta_data.json")[1])
    assert meta["uuid"] == server and meta["name"] == "Web 1" and meta["hostname"] == "web-1.novalocal"
    assert meta["meta"] == {"role": "web"} and meta["public_keys"]["k"].strip() == _KEY
    assert meta["devices"][0]["tags"] == ["first"] and len(base64.b64decode(meta["random_seed"])) == 512
    network = json.loads(ask("/openstack/2018-08-27/network_data.json")[1])
    (link,), (one,) = network["links"], network["networks"]
    assert one["type"] == "ipv4_dhcp" and one["link"] == link["id"]
    assert link["ethernet_mac_address"] == member.ports_of(server)[0]["mac_address"]
    assert ask("/openstack/latest/user_data") == (200, DATA)
    assert ask("/openstack/latest/vendor_data.json") == (200, b"{}")
    assert ask("/openstack/2000-01-01/meta_data.json")[0] == 404


def test_only_the_guest_itself_is_answered(guest):
    _, ask = guest
    assert ask("/", ip="10.0.0.200")[0] == 404
    assert ask("/", network_id="other")[0] == 404
    assert ask("/", method="POST")[0] == 405


def test_config_drive(guest, agent, member):
    server, _ = guest
    files = agent.spec_of(server).config_drive.files
    assert base64.b64decode(files["openstack/latest/user_data"]) == DATA
    assert json.loads(base64.b64decode(files["openstack/latest/meta_data.json"]))["uuid"] == server
    assert "openstack/2018-08-27/network_data.json" in files and "ec2/latest/meta-data.json" in files
    member.do(server, "os-stop")
    assert agent.spec_of(server).config_drive.files == files  # does not change under the guest


def test_guest_posts_its_password_once(guest, member, reader):
    server, ask = guest
    path, secret = "/openstack/2013-10-17/password", base64.b64encode(b"sealed").decode()
    assert member.read(f"/servers/{server}/os-server-password") == {"password": ""}
    assert ask(path, method="POST", body_base64=base64.b64encode(b"x" * 1021).decode())[0] == 400
    assert ask(path, method="POST", body_base64=secret, ip="10.9.9.9")[0] == 404
    assert ask(path, method="POST", body_base64=secret) == (200, b"")
    assert ask(path, method="POST", body_base64=secret)[0] == 409
    assert ask(path) == (200, b"sealed")
    assert reader.read(f"/servers/{server}/os-server-password") == {"password": "sealed"}
    assert member.delete(f"/servers/{server}/os-server-password").status == 204
    assert ask(path) == (200, b"")
    assert ask("/openstack/latest/meta_data.json", method="POST")[0] == 405
