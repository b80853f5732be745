# SPDX-License-Identifier: Apache-2.0
"""Signed tokens as an option, beside sealed ones."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from altostratus.kernel import clock, ids
from altostratus.kernel.config import ConfigError, load
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.tokens.jws import SigningKeys
from altostratus.services.identity.tokens.layout import METHODS, SCOPES, Claims, Federated, new_audit_id
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, IdentityCloud, project

KEYS = SigningKeys(None, wanted=True)


@pytest.fixture
def signing(tmp_path, cloud):
    """A second process of the same cloud, whose option is jws."""
    with IdentityCloud(tmp_path, token_provider="jws") as made:
        yield made


def works(cloud, token):
    return cloud.client(token).get(f"{BASE}/auth/projects").status == 200


def test_switching_there_and_back_logs_nobody_out(cloud, signing):
    sealed, signed = (one.token("admin", ADMIN_PASSWORD, project("admin")) for one in (cloud, signing))
    assert sealed.count(".") == 0 and signed.count(".") == 2
    assert works(signing, sealed) and works(signing, signed) and works(cloud, sealed)
    # the first process was started before there were keys for signing
    cloud.cloud.authenticator.signing_keys.folder.look_again(at_once=True)
    assert works(cloud, signed)


def test_a_signed_token_is_a_json_web_token(signing):
    token = signing.token("admin", ADMIN_PASSWORD, project("admin"))
    [key] = signing.cloud.authenticator.signing_keys.folder.newest_first()
    members = jwt.decode(token, key.public_key(), algorithms=["ES256"])
    shown = signing.client(token).get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token}).json["token"]
    assert members["sub"] == shown["user"]["id"] and members["openstack_project_id"] == shown["project"]["id"]
    assert members["openstack_methods"] == ["password"] and members["openstack_audit_ids"] == shown["audit_ids"]
    assert members["exp"] == clock.parse(shown["expires_at"]).timestamp()
    assert len(token) < 700


def test_signed_tokens_are_revoked_and_expire(signing):
    token = signing.token("admin", ADMIN_PASSWORD, project("admin"))
    own = signing.client(token)
    with clock.frozen(clock.unix() + 3700):
        assert not works(signing, token)
    assert own.delete(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token}).status == 204
    assert not works(signing, token)


def test_forged_tokens(signing):
    token = signing.token("admin", ADMIN_PASSWORD, project("admin"))
    header, payload, signature = token.split(".")
    members = json.loads(urlsafe_b64decode(payload + "=="))
    text = lambda data: urlsafe_b64encode(data).decode().rstrip("=")  # noqa: E731
    changed = text(json.dumps(members | {"exp": members["exp"] + 1}).encode())
    unsigned = text(b'{"alg":"none","typ":"JWT"}')
    [key] = signing.cloud.authenticator.signing_keys.folder.newest_first()
    other = jwt.encode(members, SigningKeys(None, wanted=True).folder.in_use(), algorithm="ES256")
    for forged in (
        f"{header}.{changed}.{signature}",
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{text(bytes(64))}",
        f"{header}.{payload}.{signature[:-8]}",
        f"{header}.{payload}.ü",
        jwt.encode(members, "k" * 64, algorithm="HS256"),
        other,
        "..",
        "a.b.c",
    ):
        assert not works(signing, forged), forged
    # what is signed right and says nothing that is known
    assert not works(signing, jwt.encode({"sub": "x"}, key, algorithm="ES256"))


def test_keys_of_signed_tokens_are_private_and_replaced(signing):
    folder = signing.cloud.authenticator.signing_keys.folder
    directory = signing.directory / "keys" / "jws"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "1").stat().st_mode & 0o777 == 0o600
    old = signing.token("admin", ADMIN_PASSWORD, project("admin"))
    folder.add()
    new = signing.token("admin", ADMIN_PASSWORD, project("admin"))
    assert works(signing, old) and works(signing, new)


def test_the_option(tmp_path):
    path = tmp_path / "altostratus.toml"
    path.write_text('[identity]\ntoken_provider = "jws"\n')
    assert load(path, (IdentityOptions,))[IdentityOptions].token_provider == "jws"
    path.write_text('[identity]\ntoken_provider = "uuid"\n')
    with pytest.raises(ConfigError):
        load(path, (IdentityOptions,))


identifiers = st.one_of(st.just("default"), st.uuids().map(lambda one: one.hex), st.text(min_size=1, max_size=64))


@given(
    user_id=identifiers,
    methods=st.lists(st.sampled_from(METHODS), unique=True),
    scope=st.sampled_from(SCOPES),
    scope_id=identifiers,
    microseconds=st.integers(0, 4_000_000_000_000_000),
    bound=st.one_of(st.none(), identifiers),
    federated=st.one_of(st.none(), st.builds(Federated, identifiers, identifiers, st.tuples(identifiers))),
)
def test_claims_survive(user_id, methods, scope, scope_id, microseconds, bound, federated):
    claims = Claims(
        user_id=user_id,
        methods=tuple(methods),
        scope=scope,
        scope_id="" if scope == "unscoped" else scope_id,
        issued_at=clock.timestamp(microseconds / 1e6),
        expires_at=clock.timestamp(microseconds // 1_000_000 + 3600),
        audit_ids=(new_audit_id(), new_audit_id()),
        application_credential_id=bound,
        trust_id=bound,
        access_token_id=bound,
        federated=federated,
    )
    assert KEYS.verify(KEYS.sign(claims)) == claims


def test_the_longest_usual_token_fits_into_a_header():
    identifier = ids.new_hex_id
    federated = Federated("corporate", "openid", tuple(identifier() for _ in range(20)))
    claims = Claims(
        identifier(), METHODS, "project", identifier(), clock.now(), clock.after(1), (new_audit_id(), new_audit_id()),
        identifier(), identifier(), identifier(), federated,
    )  # fmt: skip
    assert len(KEYS.sign(claims)) < 4096
