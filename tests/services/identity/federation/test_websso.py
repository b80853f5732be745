# SPDX-License-Identifier: Apache-2.0
"""Single sign-on in a browser, through the provider of oidc-provider-mock as it is, and through a scripted one."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from altostratus.kernel import clock
from tests.services.identity.conftest import BASE
from tests.services.identity.federation.conftest import DASHBOARD
from tests.services.identity.federation.scripted import OTHER_KEY

BY_PROVIDER = f"{BASE}/auth/OS-FEDERATION/identity_providers/acme/protocols/openid/websso"
BY_PROTOCOL = f"{BASE}/auth/OS-FEDERATION/websso/openid"
ORIGIN = "?" + urlencode({"origin": DASHBOARD})


@pytest.fixture
def cloud(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up()
    return cloud


def begin(cloud, path=BY_PROVIDER, query=ORIGIN):
    """(wishes sent to the provider, the browser's cookie)"""
    answer = cloud.client(None).get(path + query)
    assert answer.status == 302, answer.text
    location = urlsplit(answer.headers["location"])
    return {name: values[0] for name, values in parse_qs(location.query).items()}, answer.headers["set-cookie"]


def come_back(cloud, wishes, cookie, **answer):
    query = urlencode({"code": "c", "state": wishes["state"], **answer})
    path = urlsplit(wishes["redirect_uri"]).path
    return cloud.client(None).get(f"{path}?{query}", headers={"Cookie": cookie.split(";")[0]} if cookie else {})


def answer_with(cloud, provider, **options):
    """Begin, and let the provider give this ID token for the code; (wishes, cookie)."""
    wishes, cookie = begin(cloud)
    claims = {"nonce": wishes["nonce"], **options}
    provider.replies["/token"] = {"id_token": provider.token(**claims), "access_token": "a"}
    return wishes, cookie


@pytest.mark.parametrize("path", [BY_PROVIDER, BY_PROTOCOL])
def test_the_whole_way_with_a_real_provider(make_cloud, mock_provider, path):
    cloud = make_cloud(mock_provider)
    cloud.set_up()
    browser = requests.Session()
    with cloud.served() as url:
        # the browser goes to the provider, its user consents there, the provider sends it back
        form = browser.get(f"{url.removesuffix(BASE)}{path}{ORIGIN}", timeout=10)
        assert form.url.startswith(f"{mock_provider}/oauth2/authorize")
        page = browser.post(form.url, {"sub": "jane"}, timeout=10)
    assert page.status_code == 200, page.text
    assert f'action="{DASHBOARD}"' in page.text
    token = re.findall('name="token" id="token" value="([^"]+)"', page.text)[0]
    shown = cloud.admin.get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token}).json["token"]
    assert shown["user"]["name"] == "jane" and shown["methods"] == ["openid"]
    assert "altostratus_sso" not in {cookie.name for cookie in browser.cookies}
    assert page.headers["Cache-Control"] == "no-store" and page.headers["Referrer-Policy"] == "no-referrer"
    assert "form-action https://dashboard.example.com;" in page.headers["Content-Security-Policy"]


def test_a_user_who_does_not_consent_gets_no_token(make_cloud, mock_provider):
    cloud = make_cloud(mock_provider)
    cloud.set_up()
    browser = requests.Session()
    with cloud.served() as url:
        form = browser.get(f"{url.removesuffix(BASE)}{BY_PROVIDER}{ORIGIN}", timeout=10)
        page = browser.post(form.url, {"action": "deny"}, timeout=10)
    assert page.status_code == 401


def test_what_is_sent_along(cloud):
    wishes, cookie = begin(cloud)
    assert wishes["response_type"] == "code" and wishes["client_id"] == "cloud"
    assert wishes["code_challenge_method"] == "S256" and len(wishes["code_challenge"]) == 43
    assert wishes["redirect_uri"].endswith("/identity_providers/acme/protocols/openid/callback")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    again, other = begin(cloud)
    for name in ("state", "nonce", "code_challenge"):
        assert wishes[name] != again[name]
    assert wishes["nonce"] not in cookie and wishes["state"] not in cookie and cookie != other


def test_the_code_is_exchanged_with_the_verifier(cloud, provider):
    wishes, cookie = answer_with(cloud, provider)
    answer = come_back(cloud, wishes, cookie)
    assert answer.status == 200, answer.text
    form = {name: values[0] for name, values in parse_qs(provider.forms[-1]).items()}
    assert form["grant_type"] == "authorization_code" and form["code"] == "c" and len(form["code_verifier"]) >= 43
    assert form["redirect_uri"] == wishes["redirect_uri"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?origin=", 400), ("?origin=https://evil.example/", 401), (f"?origin={DASHBOARD}x", 401),
     ("?origin=HTTPS://dashboard.example.com/auth/websso/", 401)],
)  # fmt: skip
def test_other_dashboards_get_nothing(cloud, provider, query, status):
    for path in (BY_PROVIDER, BY_PROTOCOL):
        assert cloud.client(None).get(path + query).status == status
    assert provider.asked == []


def test_a_protocol_that_nobody_or_several_have(make_cloud, provider):
    cloud = make_cloud(provider.issuer, protocol="other")
    cloud.set_up()
    refused = cloud.client(None).get(BY_PROTOCOL + ORIGIN)
    assert refused.status == 400 and "No identity providers" in refused.text


def test_answers_that_this_browser_did_not_ask_for(cloud, provider):
    wishes, cookie = answer_with(cloud, provider)
    victims, victims_cookie = begin(cloud)
    assert come_back(cloud, wishes, "").status == 401, "no cookie"
    assert come_back(cloud, wishes, victims_cookie).status == 401, "another login's cookie"
    assert come_back(cloud, wishes, cookie, state="").status == 401
    assert come_back(cloud, wishes, cookie, state=victims["state"]).status == 401
    name, _, value = cookie.split(";")[0].partition("=")
    for wrong in (value[:-2], value[::-1], "", cloud.admin.token):
        assert come_back(cloud, wishes, f"{name}={wrong}").status == 401
    assert provider.forms == [], "no code is exchanged for any of them"


def test_a_cookie_is_no_token_and_good_for_its_own_way_only(cloud, provider):
    wishes, cookie = answer_with(cloud, provider)
    value = cookie.split(";")[0].partition("=")[2]
    assert cloud.client(value).get(f"{BASE}/auth/projects").status == 401
    cloud.put("identity_providers/acme/protocols/other", protocol={"mapping_id": "acme"})
    wishes["redirect_uri"] = wishes["redirect_uri"].replace("openid", "other")
    assert come_back(cloud, wishes, cookie).status in (401, 501)


def test_a_login_that_took_too_long(cloud, provider):
    with clock.frozen() as advance:
        wishes, cookie = begin(cloud)
        advance(601)
        assert come_back(cloud, wishes, cookie).status == 401
    assert provider.forms == []


def test_id_tokens_of_other_logins_and_other_clients(cloud, provider):
    wrong: list[dict[str, Any]] = [
        {"nonce": "another"}, {"nonce": None}, {"aud": "other"}, {"aud": ["cloud", "other"]},
        {"aud": ["cloud", "other"], "azp": "other"}, {"azp": "other"}, {"key": OTHER_KEY}, {"iss": "https://x.example"},
    ]  # fmt: skip
    for options in wrong:
        wishes, cookie = answer_with(cloud, provider, **options)
        assert come_back(cloud, wishes, cookie).status == 401, options
    wishes, cookie = answer_with(cloud, provider, aud=["cloud", "other"], azp="cloud")
    assert come_back(cloud, wishes, cookie).status == 200


def test_a_code_that_the_provider_does_not_take(cloud, provider):
    wishes, cookie = begin(cloud)
    provider.replies["/token"] = (400, {}, {"error": "invalid_grant"})
    assert come_back(cloud, wishes, cookie).status == 401
    provider.replies["/token"] = {"access_token": "a"}
    assert come_back(cloud, wishes, cookie).status == 401
    provider.replies["/token"] = (500, {}, b"")
    assert come_back(cloud, wishes, cookie).status == 503


def test_an_answer_without_a_code(cloud):
    wishes, cookie = begin(cloud)
    path = urlsplit(wishes["redirect_uri"]).path
    query = urlencode({"error": "access_denied", "state": wishes["state"]})
    answer = cloud.client(None).get(f"{path}?{query}", headers={"Cookie": cookie.split(";")[0]})
    assert answer.status == 401 and "access_denied" not in answer.text


def test_a_name_with_markup_does_not_reach_the_page(cloud, provider):
    wishes, cookie = answer_with(cloud, provider, sub='"><script>alert(1)</script>')
    page = come_back(cloud, wishes, cookie).text
    assert "alert(1)" not in page and page.count("<script") == 1


def test_the_provider_is_disabled_while_the_user_is_away(cloud, provider):
    wishes, cookie = answer_with(cloud, provider)
    cloud.set_idp(enabled=False)
    assert come_back(cloud, wishes, cookie).status == 403
    assert provider.forms == []
