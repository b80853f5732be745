# SPDX-License-Identifier: Apache-2.0
"""OAuth 2.0 client credentials: an application credential gets a token in the words of RFC 6749."""

from base64 import b64encode
from urllib.parse import urlencode

import pytest

from altostratus.kernel import clock
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

TOKEN = f"{BASE}/OS-OAUTH2/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def credential(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    user = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
    body = {"name": "robot", "secret": "per%20cent:+", "expires_at": clock.after(600)[:19]}
    made = demo.post(f"{BASE}/users/{user}/application_credentials", {"application_credential": body})
    return made.json["application_credential"]


def ask(cloud, form, basic=None, **headers):
    if basic is not None:
        headers["Authorization"] = "Basic " + b64encode(":".join(basic).encode()).decode()
    return cloud.client(None).post(TOKEN, urlencode(form), headers=FORM | headers)


def refused(answer, status, code):
    assert answer.status == status, answer.text
    assert set(answer.json) == {"error", "error_description"} and answer.json["error"] == code
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_a_token(cloud, credential):
    for answer in (
        ask(cloud, GRANT, (credential["id"], credential["secret"])),
        ask(cloud, GRANT | {"client_id": credential["id"], "client_secret": credential["secret"]}),
    ):
        assert answer.status == 200, answer.text
        given = answer.json
        assert set(given) == {"access_token", "token_type", "expires_in"} and given["token_type"] == "Bearer"
        assert 590 < given["expires_in"] <= 600  # no longer than the credential
        assert answer.headers["cache-control"] == "no-store"
        shown = cloud.client(given["access_token"]).get(
            f"{BASE}/auth/tokens", headers={"X-Subject-Token": given["access_token"]}
        )
        assert shown.json["token"]["methods"] == ["application_credential"]
        assert shown.json["token"]["project"]["name"] == "demo"


def test_the_client_is_refused(cloud, credential):
    refused(ask(cloud, GRANT), 401, "invalid_client")
    refused(ask(cloud, GRANT, (credential["id"], "wrong")), 401, "invalid_client")
    refused(ask(cloud, GRANT, ("nobody", credential["secret"])), 401, "invalid_client")
    refused(ask(cloud, GRANT, (credential["id"],)), 401, "invalid_client")
    refused(ask(cloud, GRANT, Authorization="Basic ü"), 401, "invalid_client")
    refused(ask(cloud, GRANT | {"client_id": credential["id"]}), 401, "invalid_client")
    with clock.frozen(clock.unix() + 700):
        refused(ask(cloud, GRANT, (credential["id"], credential["secret"])), 401, "invalid_client")


def test_the_request_is_refused(cloud, credential):
    pair = (credential["id"], credential["secret"])
    refused(ask(cloud, {}, pair), 400, "invalid_request")
    refused(ask(cloud, {"grant_type": "password"}, pair), 400, "unsupported_grant_type")
    refused(ask(cloud, [("grant_type", "client_credentials")] * 2, pair), 400, "invalid_request")
    refused(ask(cloud, GRANT | {"filler": "x" * 20_000}, pair), 400, "invalid_request")
    refused(cloud.client(None).post(TOKEN, b"\xff", headers=FORM), 400, "invalid_request")
    refused(cloud.client(None).post(TOKEN, GRANT), 400, "invalid_request")  # JSON
    refused(cloud.client(None).post(TOKEN), 400, "invalid_request")


def test_other_methods_are_not_allowed(cloud):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = cloud.client(None).request(method, TOKEN)
        assert answer.status == 405 and answer.headers["allow"] == "POST"


def test_bearer_tokens_are_no_x_auth_token(cloud, credential):
    """As in upstream, where services read X-Auth-Token unless their operator sets up another middleware."""
    token = ask(cloud, GRANT, (credential["id"], credential["secret"])).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert cloud.client(None).get(f"{BASE}/auth/projects", headers=headers).status == 401
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 200
