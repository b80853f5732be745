# SPDX-License-Identifier: Apache-2.0
"""What Tempest and old clients ask of compute, each of these once a failure."""

import pytest

BEFORE_2_75 = {"security_groups", "OS-EXT-AZ:availability_zone", "config_drive", "OS-EXT-STS:vm_state", "key_name"}


def test_version_2_0_is_listed_first_and_works(member, image, network):
    first = member.get("/compute").json["versions"][0]
    assert first["id"] == "v2.0"
    shown = member.get("/compute/v2/").json["version"]
    assert shown["id"] == "v2.0" and shown["links"][0] == first["links"][0]
    answer = member.ask("GET", "/compute/v2/flavors/0", version="2.96")
    assert answer.status == 200 and "description" not in answer.json["flavor"]
    assert "compute 2.1" in answer.headers["openstack-api-version"]


def test_ipv6_access_address_is_shown_in_its_short_form(member, image, network):
    made = member.try_server(image, network, accessIPv6="0000:0000:0000:0000:0000:babe:220.12.22.2")
    shown = member.read(f"/servers/{made.json['server']['id']}")["server"]
    assert shown["accessIPv6"] == "::babe:dc0c:1602"


@pytest.mark.parametrize("version", ["2.1", "2.54", "2.74", "2.96"])
def test_rebuilt_server_is_shown_as_its_version_has_it(member, image, network, version):
    made = member.try_server(image, network).json["server"]["id"]
    member.cloud.settle()
    action = {"rebuild": {"imageRef": image, "accessIPv6": "fd00:0::1"}}
    shown = member.post(f"/servers/{made}/action", action, version=version).json["server"]
    assert shown["accessIPv6"] == "fd00::1" and "OS-EXT-SRV-ATTR:user_data" not in shown
    late = float(version[2:])
    assert (BEFORE_2_75 - {"key_name"} <= set(shown)) == (late >= 75) and ("key_name" in shown) == (late >= 54)


def test_server_with_a_group_that_is_not_there(member, image, network):
    refused = member.try_server(image, network, security_groups=[{"name": "nowhere"}])
    assert refused.status == 400 and "nowhere" in refused.text


def test_private_flavor_begins_without_access(admin, member):
    flavor = {"name": "own", "ram": 64, "vcpus": 1, "disk": 0, "os-flavor-access:is_public": False}
    made = admin.post("/flavors", {"flavor": flavor}).json["flavor"]["id"]
    assert admin.read(f"/flavors/{made}/os-flavor-access")["flavor_access"] == []
    action = {"addTenantAccess": {"tenant": member.project_id}}
    assert member.post(f"/flavors/{made}/action", action).status == 403
    assert admin.post(f"/flavors/{made}/action", action).status == 200


def test_certificate_made_for_the_user(member):
    made = member.post("/os-keypairs", {"keypair": {"name": "win", "type": "x509"}}, version="2.2").json["keypair"]
    assert made["public_key"].startswith("-----BEGIN CERTIFICATE") and "PRIVATE KEY" in made["private_key"]
    assert len(made["fingerprint"].split(":")) == 20


def test_usage_of_no_project(member):
    assert member.get("/os-simple-tenant-usage/").status == 404


def test_hosts_are_switched_off_for_scheduling(admin, member):
    names = {one["service"]: one["host_name"] for one in admin.read("/os-hosts", version="2.42")["hosts"]}
    assert names == {"compute": "host-1", "conductor": "control", "scheduler": "control"}
    path = "/os-hosts/host-1"
    changed = admin.put(path, {"status": "disable"}, version="2.42")
    assert changed.json == {"host": "host-1", "status": "disabled"}
    assert admin.read("/os-services?binary=nova-compute")["services"][0]["status"] == "disabled"
    assert admin.put(path, {"status": "Enable"}, version="2.42").json["status"] == "enabled"
    for body, status in (({}, 400), ({"status": "off"}, 400), ({"maintenance_mode": "enable"}, 501)):
        assert admin.put(path, body, version="2.42").status == status
    assert admin.put("/os-hosts/none", {"status": "enable"}, version="2.42").status == 404
    assert admin.put("/os-hosts/none", {"maintenance_mode": "enable"}, version="2.42").status == 404
    assert member.put(path, {"status": "enable"}, version="2.42").status == 403
    assert admin.get(f"{path}/reboot", version="2.42").status == 501
    assert member.get(f"{path}/startup", version="2.42").status == 403


def test_network_info_is_sent_again(admin, member, image, network):
    made = member.try_server(image, network).json["server"]["id"]
    member.cloud.settle()
    assert member.post(f"/servers/{made}/action", {"injectNetworkInfo": None}).status == 403
    assert admin.post(f"/servers/{made}/action", {"injectNetworkInfo": None}).status == 202
