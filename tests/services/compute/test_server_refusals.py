# SPDX-License-Identifier: Apache-2.0
"""Requests for servers that are refused, each with the code that clients know and a sentence that helps."""

import base64

import pytest

from .people import words_of

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": " padded"}, "name"),
        ({"name": 5}, "name"),
        ({"flavorRef": "nothing"}, "Flavor nothing could not be found"),
        ({"imageRef": NOWHERE}, "could not be found"),
        ({"imageRef": "bogus"}, "imageRef"),
        ({"imageRef": ""}, "Missing imageRef"),
        ({"key_name": "nobody"}, "Invalid key_name provided"),
        ({"networks": [{"uuid": NOWHERE}]}, NOWHERE),
        ({"networks": [{"uuid": "bogus"}]}, "networks"),
        ({"networks": [{"fixed_ip": "10.0.0.9"}]}, "uuid"),
        ({"networks": "some"}, "networks"),
        ({"min_count": 0}, "min_count"),
        ({"min_count": 3, "max_count": 2}, "min_count must be <= max_count"),
        ({"metadata": {"k": 5}}, "metadata"),
        ({"metadata": {"k" * 256: "v"}}, "metadata"),
        ({"user_data": "not base64!"}, "user_data"),
        ({"user_data": base64.b64encode(b"x" * 65536).decode()}, "user_data"),
        ({"user_data": "abc"}, "base 64"),
        ({"accessIPv4": "300.1.1.1"}, "accessIPv4"),
        ({"accessIPv6": "1.1.1.1"}, "accessIPv6"),
        ({"availability_zone": "nowhere"}, "availability zone is not available"),
        ({"config_drive": "perhaps"}, "config_drive"),
        ({"OS-DCF:diskConfig": "SOMETIMES"}, "diskConfig"),
        ({"tags": ["a,b"]}, "tags"),
        ({"hostname": "-bad-!"}, "hostname"),
        ({"bogus": 1}, "bogus"),
        ({"personality": []}, "personality"),
        ({"block_device_mapping_v2": [{"source_type": "moon"}]}, "moon"),
        ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": NOWHERE}]}, "failed to get volume"),
        ({"block_device_mapping_v2": [{"source_type": "snapshot", "uuid": NOWHERE}]}, "failed to get snapshot"),
        ({"block_device_mapping_v2": [{"source_type": "volume"}]}, "Missing device UUID"),
        (
            {"block_device_mapping_v2": [{"source_type": "blank", "destination_type": "volume"}]},
            "non-zero size",
        ),
        (
            {"block_device_mapping_v2": [{"source_type": "blank", "destination_type": "volume", "boot_index": 0}]},
            "Boot sequence",
        ),
        (
            {
                "block_device_mapping_v2": [
                    {"source_type": "blank", "destination_type": "local", "volume_size": 1, "boot_index": -1}
                ]
            },
            "Ephemeral disks requested are larger",
        ),
        (
            {
                "block_device_mapping_v2": [
                    {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 1}
                ]
            },
            "Swap drive requested is larger",
        ),
    ],
)
def test_bad_requests(member, image, network, members, words):
    body = {"imageRef": image, "networks": [{"uuid": network}], **members}
    refused = member.try_server(**body)
    assert refused.status == 400, refused.text
    assert words in words_of(refused)
    assert member.read("/servers")["servers"] == []


def test_images_that_do_not_fit(member, network):
    for members, words in (
        ({"min_ram": 512}, "Flavor's memory is too small"),
        ({"min_disk": 2}, "smaller than the minimum size"),
    ):
        refused = member.try_server(member.make_image(**members), network)
        assert refused.status == 400 and words in words_of(refused)
    queued = member.client.post("/image/v2/images", {"name": "q", "disk_format": "raw", "container_format": "bare"})
    refused = member.try_server(queued.json["id"], network)
    assert refused.status == 400 and "not active" in words_of(refused)


def test_several_networks_must_be_named(member, image, network):
    member.make_network("second", "10.1.0.0/24")
    refused = member.try_server(image, version="2.1")
    assert refused.status == 409 and "Multiple possible networks" in words_of(refused)
    assert member.try_server(image, networks="none").status == 202
    assert "networks" in words_of(member.try_server(image))  # required from 2.37 on


def test_hosts_are_for_administrators(member, image, network):
    assert member.try_server(image, network, availability_zone="nova:host-1").status == 403
    assert member.try_server(image, network, host="host-1").status == 403
    assert member.try_server(image, network, availability_zone="nova").status == 202


def test_other_projects_things(member, other, image, network):
    refused = other.try_server(image, network="none")
    assert refused.status == 400 and "could not be found" in words_of(refused)
    assert other.try_server(other.make_image(), network).status == 400


def test_versions_of_members(member, image, network):
    body = {"description": "d"}
    assert member.try_server(image, network, version="2.18", **body).status == 400
    assert member.try_server(image, network, version="2.19", **body).status == 202
    assert member.try_server(image, network, version="2.51", tags=["a"]).status == 400
    nic = [{"uuid": network, "tag": "x"}]
    assert member.try_server(image, version="2.41", networks=nic).status == 400
    assert member.try_server(image, version="2.42", networks=nic).status == 202


def test_unknown_version_and_body(member):
    assert member.get("/servers", version="2.999").status == 406
    assert member.post("/servers", "{").status == 400
    assert member.post("/servers", {}).status == 400
    assert member.post("/servers", {"server": {}, "other": 1}).status == 400
