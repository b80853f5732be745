# SPDX-License-Identifier: Apache-2.0
"""Forged tokens and receipts: changed, sealed with another key, or sealed rightly around nonsense."""

import string
from contextlib import suppress

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from altostratus.kernel import clock
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.public import TokenAuthenticator
from altostratus.services.identity.tokens import layout, receipts
from altostratus.services.identity.tokens.layout import Claims
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

ALPHABET = string.ascii_letters + string.digits + "-_"
MANY = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture
def token(cloud):
    return cloud.token("demo", DEMO_PASSWORD, project("demo"))


@pytest.fixture
def keeper(cloud):
    return cloud.cloud.part(TokenAuthenticator)


def test_a_changed_token(cloud, token, keeper):
    """Whichever character is replaced, dropped or doubled."""
    assert keeper.entry(token)

    @MANY
    @given(
        st.integers(0, len(token) - 2), st.sampled_from(ALPHABET + " .=\x00é"), st.sampled_from(["put", "cut", "add"])
    )
    def try_one(position, letter, change):
        # the last character carries padding bits that no byte is made of: it is left alone
        rest = token[position:] if change == "add" else token[position + 1 :]
        forged = token[:position] + ("" if change == "cut" else letter) + rest
        if forged != token:
            with pytest.raises(VoidTokenError):
                keeper.entry(forged)

    try_one()


def test_another_key(cloud, keeper):
    claims = Claims("u", ("password",), "unscoped", "", clock.now(), clock.after(60), (layout.new_audit_id(),))
    forged = Fernet(Fernet.generate_key()).encrypt(layout.pack(claims)).decode().rstrip("=")
    assert cloud.client(forged).get(f"{BASE}/auth/projects").status == 401


def test_the_key_of_stored_secrets_seals_no_tokens(cloud, keeper):
    demo = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
    claims = Claims(demo, ("password",), "unscoped", "", clock.now(), clock.after(60), (layout.new_audit_id(),))
    assert cloud.client(keeper.keys.seal(layout.pack(claims))).get(f"{BASE}/auth/projects").status == 200
    assert cloud.client(keeper.credential_keys.seal(layout.pack(claims))).get(f"{BASE}/auth/projects").status == 401


@MANY
@given(st.binary(max_size=200))
def test_bytes_that_are_no_claims(data):
    """Even with the right seal, nonsense is a ValueError and nothing worse."""
    try:
        layout.unpack(data)
    except ValueError:
        return
    assert msgspec.msgpack.decode(data)[0] == 1


_words = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.binary(max_size=40)
)
_nested = st.recursive(_words, lambda inner: st.lists(inner, max_size=14), max_leaves=20)


@MANY
@given(st.lists(_nested, max_size=16))
def test_lists_that_are_no_claims(members):
    with suppress(ValueError):
        layout.unpack(msgspec.msgpack.encode([1, *members]))


@MANY
@given(st.recursive(_words, lambda inner: st.lists(inner, max_size=6), max_leaves=10))
def test_what_is_no_receipt(cloud, value):
    sealed = cloud.cloud.part(TokenAuthenticator).keys.seal(msgspec.msgpack.encode(value))
    with pytest.raises(LoginError):
        receipts.unseal(cloud.cloud, sealed)


@pytest.mark.parametrize(
    ("kind", "later_s", "is_one"),
    [("receipt", 60, True), ("receipt", -1, False), ("token", 60, False), ("", 60, False)],
)
def test_only_receipts_are_receipts(cloud, kind, later_s, is_one):
    sealed = [kind, "u", ["password"], clock.now(), clock.after(later_s)]
    text = cloud.cloud.part(TokenAuthenticator).keys.seal(msgspec.msgpack.encode(sealed))
    if is_one:
        assert receipts.unseal(cloud.cloud, text).user_id == "u"
    else:
        with pytest.raises(LoginError):
            receipts.unseal(cloud.cloud, text)


def test_every_claim_comes_back(cloud):
    """What is packed is what is unpacked, whatever the ids look like."""
    ids = st.one_of(st.from_regex(r"[0-9a-fA-F]{32}", fullmatch=True), st.text(max_size=64), st.just("default"))

    @MANY
    @given(ids, st.sets(st.sampled_from(layout.METHODS)), st.sampled_from(layout.SCOPES), ids, ids, ids)
    def try_one(user, methods, scope, scope_id, credential, trust):
        claims = Claims(
            user_id=user,
            methods=tuple(method for method in layout.METHODS if method in methods),
            scope=scope,
            scope_id=scope_id,
            issued_at=clock.now(),
            expires_at=clock.after(60),
            audit_ids=(layout.new_audit_id(),),
            application_credential_id=credential or None,
            trust_id=trust or None,
        )
        assert layout.unpack(layout.pack(claims)) == claims

    try_one()


def test_no_token_is_made_longer_by_its_children(cloud):
    """However often it is rescoped, the chain ends with its first token."""
    with clock.frozen(clock.unix()) as advance:
        token = cloud.token("demo", DEMO_PASSWORD)
        first = cloud.client(token).get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token})
        auth: dict[str, object] = {}
        for _ in range(3):
            advance(1000)
            auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
            answer = cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth})
            assert answer.json["token"]["expires_at"] == first.json["token"]["expires_at"]
            token = answer.headers["x-subject-token"]
        advance(601)
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 404
