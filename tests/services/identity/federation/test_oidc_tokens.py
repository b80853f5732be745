# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a provider are taken, and what a provider may do to us."""

import base64
import ipaddress
import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from altostratus.services.identity.federation import oidc, web
from altostratus.services.identity.federation.config import OidcClient
from altostratus.services.identity.federation.providers import providers_of
from tests.services.identity.federation.scripted import EC_KEY, KEY, OTHER_KEY, ScriptedProvider, public_jwk


@pytest.fixture
def cloud(make_cloud, provider):
    made = make_cloud(provider.issuer, deadline_s=1.0)
    made.set_up()
    return made


def forget_providers(cloud):
    """What is remembered of them, as after a restart."""
    providers_of(cloud.cloud).forget()


def test_the_right_token_is_taken(cloud, provider):
    answer = cloud.bearer(provider.token())
    assert answer.status == 201, answer.text
    assert answer.json["token"]["user"]["name"] == "jane" and answer.headers["x-subject-token"]


def now(seconds):
    return int(time.time()) + seconds


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://elsewhere.example"},
    {"iss": None},
    {"aud": "other"},
    {"aud": ["other", "third"]},
    {"aud": None},
    {"aud": 7},
    {"aud": "other", "azp": "other"},
    {"exp": now(-120)},
    {"exp": None},
    {"exp": "soon"},
    {"nbf": now(100_000)},
    {"iat": now(100_000)},
    {"sub": None},
    {"sub": ""},
    {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
]


def test_wrong_claims(cloud, provider):
    for claims in WRONG_CLAIMS:
        assert cloud.bearer(provider.token(**claims)).status == 401, claims


def test_a_token_that_our_own_client_was_given_is_ours_whatever_its_audience(cloud, provider):
    assert cloud.bearer(provider.token(aud="account", azp="cloud")).status == 201


def test_further_audiences(make_cloud, provider):
    cloud = make_cloud(provider.issuer, audiences=("api://cloud",))
    cloud.set_up()
    assert cloud.bearer(provider.token(aud="api://cloud")).status == 201
    assert cloud.bearer(provider.token(aud="api://other")).status == 401


def test_signatures_of_others(cloud, provider):
    assert cloud.bearer(provider.token(key=OTHER_KEY)).status == 401
    assert cloud.bearer(provider.token(key=OTHER_KEY, headers={"kid": "unknown"})).status == 401
    head, body, signature = provider.token().split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"sub": "root"}).encode()).decode().rstrip("=")
    assert cloud.bearer(f"{head}.{forged}.{signature}").status == 401
    assert cloud.bearer(f"{head}.{body}.").status == 401


def test_keys_that_a_token_brings_along_are_not_looked_at(cloud, provider):
    own = public_jwk(OTHER_KEY, "own")
    for headers in ({"jwk": own}, {"jku": f"{provider.issuer}/evil"}, {"x5u": f"{provider.issuer}/evil"}):
        assert cloud.bearer(provider.token(key=OTHER_KEY, headers=headers)).status == 401
    assert "/evil" not in provider.asked


def test_no_signature_and_shared_secrets(cloud, provider):
    assert cloud.bearer(provider.token(key=None, alg="none")).status == 401
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (public, b"cloud-secret" * 4):
        head = {"alg": "HS256", "typ": "JWT", "kid": "one"}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, {"sub": "jane"})]
        signature = jwt.get_algorithm_by_name("HS256").sign(b".".join(parts), secret)
        token = b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
        assert cloud.bearer(token).status == 401


def test_keys_for_other_uses(cloud, provider):
    provider.keys = [public_jwk(KEY, "one", use="enc")]
    assert cloud.bearer(provider.token()).status == 401


def test_a_key_is_good_for_its_own_algorithm(cloud, provider):
    provider.keys = [public_jwk(KEY, "one", alg="RS512")]
    assert cloud.bearer(provider.token()).status == 401
    assert cloud.bearer(provider.token(alg="RS512")).status == 201


def test_elliptic_curves_and_keys_without_a_name(cloud, provider):
    provider.keys = [public_jwk(EC_KEY, "one", "ES256")]
    assert cloud.bearer(provider.token(key=EC_KEY, alg="ES256")).status == 201
    assert cloud.bearer(provider.token()).status == 401, "an RSA signature under the name of a curve"


def test_what_is_no_token(cloud):
    for text in ["", "x", "a.b.c", "..", "é.é.é", "a" * 70_000, "{}", "null.null.null"]:
        assert cloud.bearer(text).status in (401, 400), text


def test_without_a_token_the_answer_says_what_to_send(cloud):
    path = "/identity/v3/OS-FEDERATION/identity_providers/acme/protocols/openid/auth"
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}):
        answer = cloud.client(None).post(path, headers=headers)
        assert answer.status == 401 and "Authorization: Bearer" in answer.text


def test_a_flood_of_unknown_keys_asks_the_provider_once(cloud, provider):
    cloud.bearer(provider.token())
    for number in range(20):
        assert cloud.bearer(provider.token(headers={"kid": f"made-up-{number}"})).status == 401
    assert provider.asked.count("/jwks") == 1
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_unknown_providers_and_protocols(cloud):
    client = cloud.client(None)
    base = "/identity/v3/OS-FEDERATION/identity_providers"
    assert client.post(f"{base}/nobody/protocols/openid/auth").status == 404
    assert client.post(f"{base}/acme/protocols/saml2/auth").status == 404
    cloud.put("identity_providers/beta", identity_provider={"enabled": True})
    cloud.put("identity_providers/beta/protocols/openid", protocol={"mapping_id": "acme"})
    answer = client.post(f"{base}/beta/protocols/openid/auth")
    assert answer.status == 501 and "[federation.oidc.beta]" in answer.text


# what a provider may do


def test_the_document_of_another_issuer(cloud, provider):
    provider.replies["/.well-known/openid-configuration"] = provider.discovery(issuer="https://elsewhere.example")
    assert cloud.bearer(provider.token()).status == 503


ODD_REPLIES = [
    (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
    (500, {}, b"oops"),
    b"not json",
    b"[]",
    b"[" * 100_000,
    b'{"keys": 7}',
    b'{"keys": ["x"]}',
    b" " * (web.LARGEST_REPLY_BYTES + 1),
]


def test_replies_that_make_no_sense(cloud, provider):
    for reply in ODD_REPLIES:
        forget_providers(cloud)
        provider.replies["/jwks"] = reply
        answer = cloud.bearer(provider.token())
        assert answer.status == 503 and "identity provider" in answer.text
        assert provider.issuer not in answer.text


def test_a_slow_provider_is_given_up_and_left_alone_for_a_moment(cloud, provider):
    def sleep():
        time.sleep(3)
        return {"keys": []}

    provider.replies["/jwks"] = sleep
    began = time.monotonic()
    assert cloud.bearer(provider.token()).status == 503
    assert time.monotonic() - began < 2.9
    count = len(provider.asked)
    assert cloud.bearer(provider.token()).status == 503
    assert len(provider.asked) == count


def test_a_provider_that_recovers_is_asked_again(cloud, provider, monkeypatch):
    monkeypatch.setattr(oidc, "_REST_S", 0.0)
    provider.replies["/jwks"] = (500, {}, b"")
    assert cloud.bearer(provider.token()).status == 503
    del provider.replies["/jwks"]
    assert cloud.bearer(provider.token()).status == 201


ODD_ADDRESSES = ["http://example.com/jwks", "file:///etc/passwd", "ftp://127.0.0.1/", "http://127.0.0.1.example.com/", "https:///x",
     "http://user@127.0.0.1/", "//127.0.0.1/jwks", 7, None]  # fmt: skip


def test_addresses_that_are_not_asked(cloud, provider):
    for url in ODD_ADDRESSES:
        forget_providers(cloud)
        provider.replies["/.well-known/openid-configuration"] = provider.discovery(jwks_uri=url)
        assert cloud.bearer(provider.token()).status == 503
        assert "/jwks" not in provider.asked


# opaque tokens, and what the provider tells besides


def test_introspection(cloud, provider):
    provider.replies["/introspection"] = {"active": True, "sub": "jane", "client_id": "cloud", "groups": ["devs"]}
    assert cloud.bearer("opaque").status == 201
    assert "token=opaque" in provider.forms[0]


REFUSALS = [
    {"active": False},
    {"active": "true", "sub": "jane", "client_id": "cloud"},
    {"active": True, "client_id": "cloud"},
    {"active": True, "sub": "jane", "client_id": "other"},
    {"active": True, "sub": "jane"},
    {"active": True, "sub": "jane", "client_id": "cloud", "iss": "https://elsewhere.example"},
    {"active": True, "sub": "jane", "client_id": "cloud", "exp": 1},
]


def test_introspection_that_says_no(cloud, provider):
    for said in REFUSALS:
        provider.replies["/introspection"] = said
        assert cloud.bearer("opaque").status == 401


def test_userinfo_adds_claims_but_never_replaces_any(make_cloud, provider):
    cloud = make_cloud(provider.issuer, userinfo=True)
    rules = [{"local": [{"user": {"name": "{0}", "email": "{1}"}}],
              "remote": [{"type": "OIDC-sub"}, {"type": "OIDC-email"}]}]  # fmt: skip
    cloud.set_up(rules)
    provider.replies["/userinfo"] = {"sub": "jane", "email": "jane@example.com", "iss": "evil"}
    token = cloud.bearer(provider.token()).json["token"]
    shown = cloud.admin.get(f"/identity/v3/users/{token['user']['id']}").json["user"]
    assert shown["email"] == "jane@example.com"
    provider.replies["/userinfo"] = {"sub": "joe", "email": "joe@example.com"}
    assert cloud.bearer(provider.token()).status == 401
    provider.replies["/userinfo"] = (401, {}, b"")
    assert cloud.bearer(provider.token()).status == 401


def test_the_secret_is_in_no_log_and_no_representation(make_cloud, provider, caplog, tmp_path):
    file = tmp_path / "secret"
    file.write_text("file-secret\n")
    cloud = make_cloud(provider.issuer, client_secret="", client_secret_file=str(file))
    cloud.set_up()
    provider.replies["/introspection"] = (401, {}, b"")
    with caplog.at_level("DEBUG"):
        assert cloud.bearer("opaque-token").status == 401
        assert cloud.bearer(provider.token(key=OTHER_KEY)).status == 401
    assert "file-secret" not in caplog.text and "opaque-token" not in caplog.text
    assert "hidden" not in repr(OidcClient(issuer="i", client_id="c", client_secret="hidden"))


def self_signed(directory, address):
    """(server's context, file with the certificate) for a server at this address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    start = datetime.now(UTC) - timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both, file = directory / "both.pem", directory / "certificate.pem"
    both.write_bytes(private + pem)
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, file


@pytest.mark.parametrize(
    ("address", "known", "status"), [("127.0.0.1", True, 201), ("127.0.0.1", False, 503), ("127.0.0.2", True, 503)]
)
def test_certificates_of_providers_are_looked_at(make_cloud, tmp_path, address, known, status):
    context, file = self_signed(tmp_path, address)
    provider = ScriptedProvider(context)
    try:
        cloud = make_cloud(provider.issuer, ca_file=str(file) if known else "")
        cloud.set_up()
        assert cloud.bearer(provider.token()).status == status
    finally:
        provider.close()
