# SPDX-License-Identifier: Apache-2.0
"""The method external: a web server in front says who it is."""

from contextlib import contextmanager

import pytest
from falcon import testing

from tests.services.identity.conftest import BASE, IdentityCloud, cheap_hashes

BODY = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
HEADER = "RemoteUser"


@pytest.fixture
def make_cloud(tmp_path, monkeypatch):
    cheap_hashes(monkeypatch)

    @contextmanager
    def make(**options):
        defaults = {"external_user_header": HEADER, "external_proxies": ["127.0.0.0/8"]}
        with IdentityCloud(tmp_path, **(defaults | options)) as made:
            yield made

    return make


def log_in(cloud, name=None, body=BODY):
    headers = {HEADER: name} if name is not None else None
    client = testing.TestClient(cloud.app)
    return client.simulate_post(f"{BASE}/auth/tokens", json=body, headers=headers, remote_addr="127.0.0.1")


def test_whom_the_proxy_names(make_cloud):
    with make_cloud() as cloud:
        cloud.make_user()
        answer = log_in(cloud, "john")
        assert answer.status_code == 201
        assert answer.json["token"]["user"]["name"] == "john" and answer.json["token"]["methods"] == ["external"]


@pytest.mark.parametrize("name", [None, "", "nobody", "john,admin"])
def test_nobody_in_particular(make_cloud, name):
    with make_cloud() as cloud:
        cloud.make_user()
        assert log_in(cloud, name).status_code == 401


def test_from_elsewhere_the_header_means_nothing(make_cloud):
    with make_cloud(external_proxies=["192.0.2.7", "2001:db8::/64"]) as cloud:
        cloud.make_user()
        assert log_in(cloud, "john").status_code == 401


@pytest.mark.parametrize("options", [{"external_user_header": ""}, {"external_proxies": []}])
def test_switched_off_unless_the_operator_says_both(make_cloud, options):
    with make_cloud(**options) as cloud:
        cloud.make_user()
        answer = log_in(cloud, "john")
        assert answer.status_code == 401 and "external_user_header" in answer.json["error"]["message"]


def test_disabled_users_and_other_domains(make_cloud):
    with make_cloud() as cloud:
        cloud.make_user(enabled=False)
        domain = cloud.make("domains", "domain", name="d")["id"]
        cloud.make_user("anna", domain_id=domain)
        for name in ("john", "anna"):
            assert log_in(cloud, name).status_code == 401


def test_two_methods_name_one_user(make_cloud):
    with make_cloud() as cloud:
        cloud.make_user()
        other = {"methods": ["external", "password"], "external": {}}
        admin = {"name": "admin", "domain": {"id": "default"}, "password": "admin-password"}
        body = {"auth": {"identity": other | {"password": {"user": admin}}}}
        assert log_in(cloud, "john", body).status_code == 401  # two methods, two users
        assert log_in(cloud, "admin", body).status_code == 201
