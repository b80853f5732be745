# SPDX-License-Identifier: Apache-2.0
"""A new key for stored secrets: all are sealed anew, and whatever is cut off in between, none is lost."""

import os

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.logic import sealed
from altostratus.services.identity.models import Credential
from altostratus.services.identity.reconcilers.keys import keep_up
from altostratus.services.identity.tokens import key_folder, rings
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator
from altostratus.services.identity.tokens.key_ring import CredentialKeys
from altostratus.testing.power_cut import PowerCut, Tripper
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, project


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(key_folder, "USED_FROM_S", 0)
    monkeypatch.setattr(key_folder, "LOOK_AGAIN_S", 0)
    monkeypatch.setattr(sealed, "_AT_ONCE", 2)


SECRETS = [f"secret {number}" for number in range(5)]


@pytest.fixture
def stored(cloud):
    """Secrets of every kind that is sealed."""
    for secret in SECRETS:
        cloud.make("credentials", "credential", type="cert", blob=secret)
    cloud.make("OS-OAUTH1/consumers", "consumer")
    domain = cloud.make("domains", "domain", name="far")
    config = {"ldap": {"url": "ldap://localhost", "password": "hush"}}
    answer = cloud.admin.put(f"{BASE}/domains/{domain['id']}/config", {"config": config})
    assert answer.status == 201, answer.text


def restart(cloud):
    """What a new control process begins with."""
    cloud.cloud.authenticator = TokenAuthenticator(cloud.cloud, cloud.directory / "keys")
    cloud._clients.clear()


def blobs(cloud):
    shown = cloud.admin.get(f"{BASE}/credentials?type=cert").json["credentials"]
    return sorted(one["blob"] for one in shown)


def age_all(cloud, seconds):
    for path in (cloud.directory / "keys" / "credentials").iterdir():
        made = path.stat().st_mtime - seconds
        os.utime(path, (made, made))


def numbers(cloud):
    return [file.number for file in cloud.cloud.part(CredentialKeys).folder.files()]


def test_every_sealed_column_is_found(cloud):
    found = {f"{model.__tablename__}.{column}" for model, column in sealed.sealed_columns()}
    assert found >= {
        "credentials.encrypted_blob",
        "oauth_consumers.encrypted_secret",
        "oauth_request_tokens.encrypted_secret",
        "oauth_access_tokens.encrypted_secret",
        "domain_options.encrypted_value",
    }


def test_a_new_key(cloud, stored):
    assert rings.secrets_behind(cloud.cloud) == 0
    [made] = rings.add_keys(cloud.cloud, "credentials")
    assert made.number == 2 and made.in_use
    assert rings.secrets_behind(cloud.cloud) == 7
    assert blobs(cloud) == SECRETS  # none is lost meanwhile
    keep_up(cloud.cloud)
    assert rings.secrets_behind(cloud.cloud) == 0 and blobs(cloud) == SECRETS
    keep_up(cloud.cloud)
    assert numbers(cloud) == [1, 2]  # requests that began before may still write
    age_all(cloud, sealed.KEEP_REPLACED_S + 1)
    keep_up(cloud.cloud)
    assert numbers(cloud) == [2] and blobs(cloud) == SECRETS


def test_what_comes_late_is_sealed_before_its_key_goes(cloud, stored):
    old = cloud.cloud.part(CredentialKeys).seal(b"late")
    rings.add_keys(cloud.cloud, "credentials")
    keep_up(cloud.cloud)
    keep_up(cloud.cloud)
    with cloud.cloud.db.write() as tx:
        row = tx.find(Credential)
        tx.update(Credential, row.id, encrypted_blob=old)
    age_all(cloud, sealed.KEEP_REPLACED_S + 1)
    keep_up(cloud.cloud)
    assert numbers(cloud) == [1, 2]  # this pass found something: one more
    keep_up(cloud.cloud)
    assert numbers(cloud) == [2] and "late" in blobs(cloud)


def test_without_a_new_key_nothing_is_read(cloud, stored):
    assert cloud.count_queries(lambda: keep_up(cloud.cloud)) == 0
    rings.add_keys(cloud.cloud, "credentials")
    keep_up(cloud.cloud)
    keep_up(cloud.cloud)
    assert cloud.count_queries(lambda: keep_up(cloud.cloud)) == 0  # nor while waiting for the old key's end


def test_killed_at_every_point(cloud, stored):
    write = cloud.cloud.db.write
    rings.add_keys(cloud.cloud, "credentials")
    cuts = 0
    while True:
        tripper = Tripper(1 + cuts % 4)
        tripper.watch_db(cloud.cloud.db)
        try:
            keep_up(cloud.cloud)
            break
        except PowerCut:
            cuts += 1
        finally:
            cloud.cloud.db.write = write
        restart(cloud)
        assert blobs(cloud) == SECRETS
        if rings.secrets_behind(cloud.cloud) == 0 or cuts > 60:
            break
    assert cuts > 3
    keep_up(cloud.cloud)
    keep_up(cloud.cloud)
    assert rings.secrets_behind(cloud.cloud) == 0
    age_all(cloud, sealed.KEEP_REPLACED_S + 1)
    restart(cloud)
    keep_up(cloud.cloud)
    assert numbers(cloud) == [2]
    restart(cloud)
    assert blobs(cloud) == SECRETS


def test_a_secret_that_no_key_opens_keeps_the_older_keys(cloud, stored):
    with cloud.cloud.db.write() as tx:
        lost = tx.find(Credential).id
        tx.update(Credential, lost, encrypted_blob="gone")
    rings.add_keys(cloud.cloud, "credentials")
    age_all(cloud, sealed.KEEP_REPLACED_S + 1)
    keep_up(cloud.cloud)
    keep_up(cloud.cloud)
    assert numbers(cloud) == [1, 2]
    assert cloud.admin.delete(f"{BASE}/credentials/{lost}").status == 204
    keep_up(cloud.cloud)
    assert numbers(cloud) == [2] and len(blobs(cloud)) == 4


def test_a_change_by_its_user_is_not_undone(cloud, stored, monkeypatch):
    keys = cloud.cloud.part(CredentialKeys)
    with cloud.cloud.db.read() as tx:
        row = tx.find(Credential)
    rings.add_keys(cloud.cloud, "credentials")
    stale = type("Stale", (tuple,), {})((row.id, row.encrypted_blob))
    with cloud.cloud.db.write() as tx:
        tx.update(Credential, row.id, encrypted_blob=keys.seal(b"changed"))
        assert sealed._reseal_one(tx, cloud.cloud, Credential, "encrypted_blob", stale) == 0
        assert keys.unseal(tx.get(Credential, row.id).encrypted_blob) == b"changed"


# tokens


def test_new_keys_for_tokens_log_nobody_out(cloud):
    tokens = []
    for _ in range(5):
        tokens.append(cloud.token("admin", ADMIN_PASSWORD, project("admin")))
        [made] = rings.add_keys(cloud.cloud, "tokens")
        assert made.ring == "fernet"
        keep_up(cloud.cloud)
    restart(cloud)
    for token in tokens:
        assert cloud.client(token).get(f"{BASE}/auth/projects").status == 200


def test_keys_of_tokens_go_when_no_token_needs_them(cloud):
    rings.add_keys(cloud.cloud, "tokens")
    keep_up(cloud.cloud)
    folder = cloud.cloud.authenticator.keys.folder
    assert len(folder.files()) == 2
    longest_s = 3600 + 172_800
    for path in (cloud.directory / "keys").iterdir():
        if path.is_file():
            os.utime(path, (clock.unix() - longest_s - 100,) * 2)
    keep_up(cloud.cloud)
    assert [file.number for file in folder.files()] == [2]
