# SPDX-License-Identifier: Apache-2.0
"""keystoneauth's own plugins log in through a real provider of OpenID Connect, over real sockets."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from keystoneauth1 import session as ks_session
from keystoneauth1.exceptions import Unauthorized
from keystoneauth1.identity import v3

from altostratus.services.identity.federation import oidc
from tests.services.identity.conftest import BASE

PROJECT: dict[str, Any] = {"project_name": "demo", "project_domain_id": "default"}


@pytest.fixture
def cloud(make_cloud, authlib_provider):
    cloud = make_cloud(authlib_provider)
    cloud.set_up()
    cloud.make_group("devs", "member", "demo")
    return cloud


def password_plugin(url, issuer, username="jane", password="jane-password", **options):
    options = {"client_id": "cloud", "client_secret": "cloud-secret", **PROJECT, **options}
    return v3.OidcPassword(
        auth_url=url,
        identity_provider="acme",
        protocol="openid",
        discovery_endpoint=f"{issuer}/.well-known/openid-configuration",
        username=username,
        password=password,
        **options,
    )


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
def test_v3oidcpassword(cloud, authlib_provider, kind):
    with cloud.served() as url:
        plugin = password_plugin(url, authlib_provider, access_token_type=kind, scope="openid profile")
        session = ks_session.Session(auth=plugin)
        token = session.get(f"{url}/auth/tokens", headers={"X-Subject-Token": session.get_token()}).json()["token"]
    assert token["user"]["name"] == "jane" and token["project"]["name"] == "demo"
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    assert sorted(token["methods"]) == ["openid", "token"]
    federation = token["user"]["OS-FEDERATION"]
    assert federation["identity_provider"] == {"id": "acme"} and federation["protocol"] == {"id": "openid"}
    assert len(federation["groups"]) == 1 and "password_expires_at" not in token["user"]


def test_v3oidcpassword_with_a_wrong_password(cloud, authlib_provider):
    with cloud.served() as url, pytest.raises(Exception, match=r"400|401"):
        ks_session.Session(auth=password_plugin(url, authlib_provider, password="wrong")).get_token()


def test_users_whom_the_mapping_gives_no_group_get_no_project(cloud, authlib_provider):
    with cloud.served() as url:
        session = ks_session.Session(auth=password_plugin(url, authlib_provider, "joe", "joe-password"))
        with pytest.raises(Unauthorized):
            session.get_token()
        unscoped = password_plugin(url, authlib_provider, "joe", "joe-password", project_name=None)
        assert ks_session.Session(auth=unscoped).get_user_id()


def test_v3oidcclientcredentials(cloud, authlib_provider):
    with cloud.served() as url:
        plugin = v3.OidcClientCredentials(
            auth_url=url,
            identity_provider="acme",
            protocol="openid",
            client_id="cloud",
            client_secret="cloud-secret",
            discovery_endpoint=f"{authlib_provider}/.well-known/openid-configuration",
        )
        session = ks_session.Session(auth=plugin)
        assert plugin.get_access(session).username == "service-cloud"


def test_v3oidcaccesstoken(cloud, authlib_provider):
    form = {"grant_type": "password", "username": "jane", "password": "jane-password"}
    answer = requests.post(f"{authlib_provider}/token", form, auth=("cloud", "cloud-secret"), timeout=10)
    with cloud.served() as url:
        plugin = v3.OidcAccessToken(
            auth_url=url,
            identity_provider="acme",
            protocol="openid",
            access_token=answer.json()["access_token"],
            **PROJECT,
        )
        session = ks_session.Session(auth=plugin)
        assert session.get_project_id()
        assert session.get(f"{url}/auth/projects").json()["projects"][0]["name"] == "demo"


def test_opaque_access_tokens_are_asked_about(make_cloud, authlib_provider):
    cloud = make_cloud(authlib_provider, client_id="opaque", client_secret="opaque-secret")
    cloud.set_up()
    cloud.make_group("devs", "member", "demo")
    with cloud.served() as url:
        plugin = password_plugin(url, authlib_provider, client_id="opaque", client_secret="opaque-secret")
        assert ks_session.Session(auth=plugin).get_project_id()
    assert cloud.bearer("opaque-that-nobody-made").status == 401


def test_v3oidcauthcode_with_the_provider_of_oidc_provider_mock(make_cloud, mock_provider):
    cloud = make_cloud(mock_provider)
    cloud.set_up()
    cloud.make_group("devs", "member", "demo")
    back = "http://127.0.0.1/back"
    wishes = {"response_type": "code", "client_id": "cloud", "redirect_uri": back, "scope": "openid", "state": "s"}
    page = requests.post(
        f"{mock_provider}/oauth2/authorize", {"sub": "jane"}, params=wishes, allow_redirects=False, timeout=10
    )
    code = parse_qs(urlsplit(page.headers["Location"]).query)["code"][0]
    with cloud.served() as url:
        plugin = v3.OidcAuthorizationCode(
            auth_url=url,
            identity_provider="acme",
            protocol="openid",
            client_id="cloud",
            client_secret="cloud-secret",
            access_token_type="id_token",
            discovery_endpoint=f"{mock_provider}/.well-known/openid-configuration",
            redirect_uri=back,
            code=code,
            **PROJECT,
        )
        session = ks_session.Session(auth=plugin)
        assert session.get_project_id()


def test_a_token_for_another_client_is_refused_even_with_a_right_signature(cloud, authlib_provider):
    with cloud.served() as url:
        plugin = password_plugin(url, authlib_provider, client_id="other", client_secret="other-secret")
        session = ks_session.Session(auth=plugin)
        with pytest.raises(Unauthorized):
            session.get_token()


def test_a_new_key_of_the_provider_is_found(cloud, authlib_provider, monkeypatch):

    monkeypatch.setattr(oidc, "_LOOK_AGAIN_S", 0.0)
    with cloud.served() as url:
        assert ks_session.Session(auth=password_plugin(url, authlib_provider)).get_token()
        requests.post(f"{authlib_provider}/rotate", timeout=30)
        assert ks_session.Session(auth=password_plugin(url, authlib_provider)).get_token()


def test_the_same_user_of_the_provider_is_the_same_user_here(cloud, authlib_provider):
    with cloud.served() as url:
        sessions = [ks_session.Session(auth=password_plugin(url, authlib_provider)) for _ in range(2)]
        assert sessions[0].get_user_id() == sessions[1].get_user_id()
    listed = cloud.admin.get(f"{BASE}/users?name=jane").json["users"]
    assert len(listed) == 1 and listed[0]["id"] == sessions[0].get_user_id()
