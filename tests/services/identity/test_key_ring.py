# SPDX-License-Identifier: Apache-2.0
"""Keys, the bytes of a token, and passwords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from altostratus.kernel import clock, ids
from altostratus.services.identity.tokens import key_ring, passwords
from altostratus.services.identity.tokens.key_ring import KeyRing
from altostratus.services.identity.tokens.layout import METHODS, SCOPES, Claims, new_audit_id, pack, unpack


def test_keys_are_private_files(tmp_path):
    ring = KeyRing(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["1"]
    assert (tmp_path / "keys" / "1").stat().st_mode & 0o777 == 0o600
    assert KeyRing(tmp_path / "keys").unseal(ring.seal(b"data")) == b"data"


def test_rotation(tmp_path, monkeypatch):
    monkeypatch.setattr(key_ring, "_LOOK_AGAIN_S", 0)
    ring, other = KeyRing(tmp_path), KeyRing(tmp_path)
    old = ring.seal(b"old")
    ring.rotate()
    new = ring.seal(b"new")
    assert ring.unseal(old) == b"old"
    assert other.unseal(new) == b"new"  # the other process finds the new key by itself
    for _ in range(3):
        ring.rotate()
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(ValueError):
        ring.unseal(old)
    with pytest.raises(ValueError):
        KeyRing().rotate()


@pytest.mark.parametrize("text", ["", "x", "gAAAAA", "é" * 10, "a" * 900])
def test_nonsense_is_not_sealed(text):
    with pytest.raises(ValueError):
        KeyRing().unseal(text)


identifiers = st.one_of(st.just("default"), st.uuids().map(lambda one: one.hex), st.text(max_size=64))


@given(
    user_id=identifiers,
    methods=st.lists(st.sampled_from(METHODS), unique=True),
    scope=st.sampled_from(SCOPES),
    scope_id=identifiers,
    seconds=st.integers(0, 4_000_000_000),
    parents=st.integers(0, 1),
    credential=st.one_of(st.none(), st.uuids().map(lambda one: one.hex)),
)
def test_claims_survive(user_id, methods, scope, scope_id, seconds, parents, credential):
    claims = Claims(
        user_id=user_id,
        methods=tuple(sorted(methods, key=METHODS.index)),
        scope=scope,
        scope_id=scope_id,
        issued_at=clock.timestamp(seconds),
        expires_at=clock.timestamp(seconds + 3600),
        audit_ids=tuple(new_audit_id() for _ in range(1 + parents)),
        application_credential_id=credential,
    )
    assert unpack(pack(claims)) == claims


@given(st.binary(max_size=200))
def test_other_bytes_are_no_claims(data):
    with pytest.raises(ValueError):
        unpack(data)


def test_tokens_fit_into_a_column():
    claims = Claims(
        ids.new_hex_id(), ("password", "token"), "project", ids.new_hex_id(), clock.now(), clock.after(1),
        (new_audit_id(), new_audit_id()), ids.new_hex_id(),
    )  # fmt: skip
    assert len(KeyRing().seal(pack(claims))) <= 255


def test_passwords():
    secret = passwords.hash_password("right")
    assert secret.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.is_password("right", secret)
    assert not passwords.is_password("wrong", secret)
    assert not passwords.is_password("right", None)
    assert not passwords.is_password("right", "no hash at all")
