# SPDX-License-Identifier: Apache-2.0
"""Keys, the bytes of a token, and passwords."""

import os

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from altostratus.kernel import clock, ids
from altostratus.services.identity.tokens import key_folder, passwords
from altostratus.services.identity.tokens.key_ring import KeyRing
from altostratus.services.identity.tokens.layout import METHODS, SCOPES, Claims, new_audit_id, pack, unpack


def test_keys_are_private_files(tmp_path):
    ring = KeyRing(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["1"]
    assert (tmp_path / "keys" / "1").stat().st_mode & 0o777 == 0o600
    assert KeyRing(tmp_path / "keys").unseal(ring.seal(b"data")) == b"data"


@pytest.fixture
def impatient(monkeypatch):
    """Keys are in use at once, and folders looked at each time."""
    monkeypatch.setattr(key_folder, "LOOK_AGAIN_S", 0)
    monkeypatch.setattr(key_folder, "USED_FROM_S", 0)


def age(directory, number, seconds):
    """Make a key older."""
    made = clock.unix() - seconds
    os.utime(directory / str(number), (made, made))


def test_rotation(tmp_path, impatient):
    ring, other = KeyRing(tmp_path), KeyRing(tmp_path)
    old = ring.seal(b"old")
    assert ring.folder.add() == 2
    new = ring.seal(b"new")
    assert ring.unseal(old) == b"old" and not ring.is_newest(old) and ring.is_newest(new)
    assert other.unseal(new) == b"new"  # the other process finds the new key by itself
    assert other.is_newest(other.seal(b"x")) and ring.is_newest(other.seal(b"x"))
    with pytest.raises(ValueError):
        KeyRing().folder.add()


def test_a_new_key_is_in_use_when_everybody_knows_it(tmp_path):
    ring = KeyRing(tmp_path)
    age(tmp_path, 1, 100)
    ring.folder.add()
    sealed = ring.seal(b"x")
    assert ring.folder.number_in_use() == 1
    age(tmp_path, 2, 3)
    ring.folder.look_again(at_once=True)
    assert ring.folder.number_in_use() == 2 and not ring.is_newest(sealed)


def test_keys_are_dropped_by_age_and_not_by_number(tmp_path, impatient):
    ring = KeyRing(tmp_path)
    first = ring.seal(b"x")
    for _ in range(5):
        ring.folder.add()
    assert ring.folder.drop_replaced(100) == [] and ring.unseal(first) == b"x"
    age(tmp_path, 1, 500)
    age(tmp_path, 2, 400)
    age(tmp_path, 3, 50)
    # 1 was in use until 400 seconds ago, 2 until 50 seconds ago
    assert ring.folder.drop_replaced(100) == [1]
    with pytest.raises(ValueError):
        ring.unseal(first)
    assert [file.number for file in ring.folder.files()] == [2, 3, 4, 5, 6]


def test_the_last_key_is_never_dropped(tmp_path, impatient):
    ring = KeyRing(tmp_path)
    age(tmp_path, 1, 1_000_000)
    assert ring.folder.drop_replaced(0) == []
    assert KeyRing().folder.drop_replaced(0) == []


def test_two_processes_make_a_key_at_once(tmp_path, monkeypatch):
    ring = KeyRing(tmp_path)
    (tmp_path / "2").write_bytes(Fernet.generate_key())
    monkeypatch.setattr(key_folder, "_files_of", lambda directory: [key_folder.KeyFile(1, 0.0)])
    before = (tmp_path / "2").read_bytes()
    assert ring.folder.add() == 2
    assert (tmp_path / "2").read_bytes() == before and sorted(os.listdir(tmp_path)) == ["1", "2"]


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
