# SPDX-License-Identifier: Apache-2.0
"""Flavors and key pairs."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from .people import words_of


def new_flavor(admin, **members):
    return admin.post("/flavors", {"flavor": {"name": "tiny", "ram": 64, "vcpus": 1, "disk": 0, **members}})


def test_defaults(member):
    flavors = member.read("/flavors/detail")["flavors"]
    assert [one["name"] for one in flavors] == [
        "m1.mini", "m1.tiny", "m1.small", "m1.medium", "m1.large", "m1.xlarge"
    ]  # fmt: skip
    assert flavors[0]["swap"] == 0 and flavors[0]["extra_specs"] == {}
    old = member.read("/flavors/0", version="2.1")["flavor"]
    assert old["swap"] == "" and "description" not in old and "extra_specs" not in old
    assert set(member.read("/flavors")["flavors"][0]) == {"id", "name", "links", "description"}
    assert [one["id"] for one in member.read("/flavors?minRam=4096")["flavors"]] == ["3", "4", "5"]
    assert member.get("/flavors?minRam=many").status == 400
    assert member.get("/flavors/none").status == 404


def test_create_update_delete(admin, member):
    assert member.post("/flavors", {"flavor": {"name": "n", "ram": 1, "vcpus": 1, "disk": 1}}).status == 403
    made = new_flavor(admin, id="77", description="small")
    assert made.status == 200 and made.json["flavor"]["id"] == "77"
    assert new_flavor(admin).status == 409 and new_flavor(admin, name="other", id="77").status == 409
    changed = admin.put("/flavors/77", {"flavor": {"description": "smaller"}})
    assert changed.json["flavor"]["description"] == "smaller"
    assert admin.delete("/flavors/77").status == 202 and admin.get("/flavors/77").status == 404


@pytest.mark.parametrize(
    "members",
    [{"ram": 0}, {"vcpus": 0}, {"disk": -1}, {"ram": "much"}, {"name": ""}, {"name": " x"}, {"bogus": 1}, {"swap": -1}],
)
def test_bad_flavors(admin, members):
    assert new_flavor(admin, **members).status == 400


def test_private_flavors_and_access(admin, member, other):
    flavor = new_flavor(admin, **{"os-flavor-access:is_public": False}).json["flavor"]
    path = f"/flavors/{flavor['id']}"
    assert member.get(path).status == 404
    added = admin.post(f"{path}/action", {"addTenantAccess": {"tenant": member.project_id}})
    assert added.status == 200
    assert {"flavor_id": flavor["id"], "tenant_id": member.project_id} in added.json["flavor_access"]
    assert admin.post(f"{path}/action", {"addTenantAccess": {"tenant": member.project_id}}).status == 409
    assert member.get(path).status == 200 and other.get(path).status == 404
    assert flavor["id"] in [one["id"] for one in member.read("/flavors")["flavors"]]
    assert flavor["id"] in [one["id"] for one in admin.read("/flavors?is_public=None")["flavors"]]
    admin.post(f"{path}/action", {"removeTenantAccess": {"tenant": member.project_id}})
    assert member.get(path).status == 404
    assert admin.post(f"{path}/action", {"removeTenantAccess": {"tenant": member.project_id}}).status == 404
    assert admin.get("/flavors/1/os-flavor-access").status == 404


def test_extra_specs(admin, member):
    path = "/flavors/0/os-extra_specs"
    assert admin.post(path, {"extra_specs": {"a": "1", "b": "2"}}).json == {"extra_specs": {"a": "1", "b": "2"}}
    assert admin.put(f"{path}/a", {"a": "9"}).json == {"a": "9"}
    assert member.read(path)["extra_specs"] == {"a": "9", "b": "2"}
    assert member.read(f"{path}/a") == {"a": "9"}
    assert admin.delete(f"{path}/a").status == 200 and member.get(f"{path}/a").status == 404
    assert admin.put(f"{path}/a", {"b": "9"}).status == 400
    assert member.post(path, {"extra_specs": {"c": "1"}}).status == 403
    assert admin.post(path, {"extra_specs": {"bad/key": "1"}}).status == 400


def public_key():
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + " me"


def test_keypairs(member, other, admin):
    made = member.post("/os-keypairs", {"keypair": {"name": "new"}}, version="2.91")
    assert made.status == 201
    assert made.json["keypair"]["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert made.json["keypair"]["public_key"].startswith("ssh-rsa ")
    assert member.post("/os-keypairs", {"keypair": {"name": "new"}}).status == 400  # 2.92 only imports
    mine = member.post("/os-keypairs", {"keypair": {"name": "mine", "public_key": public_key()}})
    assert mine.status == 201 and "private_key" not in mine.json["keypair"]
    assert mine.json["keypair"]["fingerprint"].count(":") == 15
    names = [one["keypair"]["name"] for one in member.read("/os-keypairs")["keypairs"]]
    assert names == ["mine", "new"]
    shown = member.read("/os-keypairs/mine")["keypair"]
    assert shown["deleted"] is False and shown["user_id"] == member.user_id
    assert other.get("/os-keypairs/mine").status == 404
    assert other.get(f"/os-keypairs/mine?user_id={member.user_id}").status == 403
    assert admin.get(f"/os-keypairs/mine?user_id={member.user_id}").status == 200
    assert member.delete("/os-keypairs/mine").status == 204
    assert member.delete("/os-keypairs/mine").status == 404


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"name": "new", "public_key": "ssh-rsa bogus"}, 400),
        ({"name": "new", "public_key": ""}, 400),
        ({"name": "bad/name", "public_key": "x"}, 400),
        ({"name": "", "public_key": "x"}, 400),
        ({"name": "x" * 256, "public_key": "x"}, 400),
        ({"public_key": "x"}, 400),
        ({"name": "new", "public_key": "x", "type": "gpg"}, 400),
    ],
)
def test_bad_keypairs(member, members, status):
    assert member.post("/os-keypairs", {"keypair": members}).status == status


def test_a_name_is_taken_once(member):
    body = {"keypair": {"name": "k", "public_key": public_key()}}
    assert member.post("/os-keypairs", body, version="2.1").status == 200
    refused = member.post("/os-keypairs", body)
    assert refused.status == 409 and words_of(refused) == "Key pair 'k' already exists."
    assert member.delete("/os-keypairs/k", version="2.1").status == 202


def test_quota_of_keypairs(member, admin):
    admin.put(f"/os-quota-sets/{member.project_id}", {"quota_set": {"key_pairs": 0}})
    refused = member.post("/os-keypairs", {"keypair": {"name": "k", "public_key": public_key()}})
    assert refused.status == 403 and "too many key pairs" in words_of(refused)
