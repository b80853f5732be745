# SPDX-License-Identifier: Apache-2.0
"""What upstream calls security compliance: locks, expiry, history, age and strength of passwords."""

import threading
from contextlib import contextmanager

import pytest

from altostratus.kernel import clock
from altostratus.kernel.config import ConfigError, load
from altostratus.kernel.db import counting_queries, table_of
from altostratus.kernel.events import EventRow
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.models import FormerPassword, User
from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, IdentityCloud, cheap_hashes, project

USERS = f"{BASE}/users"
DAY_S = 86_400


@pytest.fixture
def make_cloud(tmp_path, monkeypatch):
    """A cloud with these rules, whose time stands still; `advance` moves it on."""
    cheap_hashes(monkeypatch)

    @contextmanager
    def make(**rules):
        with (
            clock.frozen(clock.unix()) as advance,
            IdentityCloud(tmp_path, token_lifetime_s=DAY_S * 300, **rules) as made,
        ):
            yield made, advance

    return make


def change(cloud, user, old, new):
    return cloud.client(None).post(f"{USERS}/{user}/password", {"user": {"original_password": old, "password": new}})


def set_user(cloud, user, **members):
    answer = cloud.admin.patch(f"{USERS}/{user}", {"user": members})
    assert answer.status == 200, answer.text
    return answer.json["user"]


def row_of(cloud, user):
    with cloud.cloud.db.read() as tx:
        return tx.get(User, user)


def test_too_many_wrong_passwords_lock_for_a_while(make_cloud):
    with make_cloud(lockout_failure_attempts=3, lockout_duration=60) as (cloud, advance):
        user = cloud.make_user()["id"]
        for _ in range(3):
            assert cloud.log_in("john", "wrong").status == 401
        locked = cloud.log_in("john", "secret")
        assert locked.status == 401
        assert locked.json == cloud.log_in("nobody", "secret").json == cloud.log_in("john", "wrong").json
        assert change(cloud, user, "secret", "other").status == 401
        advance(59)
        assert cloud.log_in("john", "wrong").status == 401  # does not make the lock longer
        advance(2)
        assert cloud.log_in("john", "secret").status == 201
        assert row_of(cloud, user).failed_auth_count == 0


def test_after_a_lock_the_count_begins_anew(make_cloud):
    with make_cloud(lockout_failure_attempts=3, lockout_duration=60) as (cloud, advance):
        cloud.make_user()
        for _ in range(3):
            cloud.log_in("john", "wrong")
        advance(61)
        for _ in range(2):
            assert cloud.log_in("john", "wrong").status == 401
        assert cloud.log_in("john", "secret").status == 201


def test_a_good_login_ends_the_count(make_cloud):
    with make_cloud(lockout_failure_attempts=2) as (cloud, _):
        cloud.make_user()
        for _ in range(3):
            assert cloud.log_in("john", "wrong").status == 401
            assert cloud.log_in("john", "secret").status == 201


def test_wrong_old_passwords_and_passcodes_count_too(make_cloud):
    with make_cloud(lockout_failure_attempts=2) as (cloud, _):
        user = cloud.make_user()["id"]
        assert change(cloud, user, "wrong", "other").status == 401
        identity = {"methods": ["totp"], "totp": {"user": {"id": user, "passcode": "000000"}}}
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": {"identity": identity}}).status == 401
        assert cloud.log_in("john", "secret").status == 401


def test_half_a_login_does_not_end_the_count(make_cloud):
    """Who knows the password only must not be able to try passcodes for ever."""
    with make_cloud(lockout_failure_attempts=3) as (cloud, _):
        user = cloud.make_user(options={"multi_factor_auth_rules": [["password", "totp"]]})["id"]
        identity = {
            "methods": ["password", "totp"],
            "password": {"user": {"id": user, "password": "secret"}},
            "totp": {"user": {"id": user, "passcode": "000000"}},
        }
        for _ in range(3):
            assert "receipt" in cloud.log_in("john", "secret").json
            assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": {"identity": identity}}).status == 401
        assert "receipt" not in cloud.log_in("john", "secret").json


@pytest.mark.parametrize("members", [{"enabled": True}, {"password": "other"}])
def test_an_administrator_unlocks(make_cloud, members):
    with make_cloud(lockout_failure_attempts=1, lockout_duration=0) as (cloud, advance):
        user = cloud.make_user()["id"]
        cloud.log_in("john", "wrong")
        advance(DAY_S * 200)
        assert cloud.log_in("john", "secret").status == 401
        set_user(cloud, user, **members)
        advance(1)
        assert cloud.log_in("john", members.get("password", "secret")).status == 201


def test_users_without_locks(make_cloud):
    with make_cloud(lockout_failure_attempts=1) as (cloud, _):
        cloud.make_user(options={"ignore_lockout_failure_attempts": True})
        for _ in range(3):
            cloud.log_in("john", "wrong")
        assert cloud.log_in("john", "secret").status == 201


def test_a_lock_does_not_stop_application_credentials_and_tokens(make_cloud):
    with make_cloud(lockout_failure_attempts=1) as (cloud, _):
        token = cloud.token("demo", "demo-password", project("demo"))
        user = cloud.admin.get(f"{USERS}?name=demo").json["users"][0]["id"]
        body = {"application_credential": {"name": "c", "secret": "s"}}
        made = cloud.client(token).post(f"{USERS}/{user}/application_credentials", body)
        cloud.log_in("demo", "wrong")
        assert cloud.log_in("demo", "demo-password").status == 401
        given = {"id": made.json["application_credential"]["id"], "secret": "s"}
        identity = {"methods": ["application_credential"], "application_credential": given}
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": {"identity": identity}}).status == 201
        assert cloud.client(token).get(f"{BASE}/auth/projects").status == 200


def test_many_tries_at_once(make_cloud):
    """However many come together: no more wrong ones are looked at than the rules allow."""
    with make_cloud(lockout_failure_attempts=5) as (cloud, _):
        user = cloud.make_user()["id"]
        tries = [threading.Thread(target=cloud.log_in, args=("john", f"wrong {number}")) for number in range(16)]
        for one in tries:
            one.start()
        for one in tries:
            one.join()
        assert row_of(cloud, user).failed_auth_count == 5
        assert cloud.log_in("john", "secret").status == 401


def test_the_right_password_after_enough_wrong_ones_at_once(make_cloud, monkeypatch):
    """The right guess of a crowd is refused if the account was locked while it was looked at."""
    with make_cloud(lockout_failure_attempts=2) as (cloud, _):
        cloud.make_user()
        compare = passwords.is_password

        def slow(password, password_hash):
            if password == "secret":
                cloud.log_in("john", "wrong")
                cloud.log_in("john", "wrong")
            return compare(password, password_hash)

        monkeypatch.setattr(passwords, "is_password", slow)
        assert cloud.log_in("john", "secret").status == 401


def test_a_login_that_changes_nothing_writes_nothing(make_cloud):
    with make_cloud(lockout_failure_attempts=3) as (cloud, _):
        cloud.make_user()
        cloud.log_in("john", "secret")
        with counting_queries() as seen:
            assert cloud.log_in("john", "secret").status == 201
        assert not [statement for statement in seen if not statement.startswith(("SELECT", "BEGIN", "ROLLBACK"))]


def test_inactive_users_are_disabled(make_cloud):
    with make_cloud(disable_user_account_days_inactive=30) as (cloud, advance):
        user = cloud.make_user()["id"]
        cloud.make_user("robot", options={"ignore_user_inactivity": True})
        advance(DAY_S * 29)
        assert cloud.log_in("john", "secret").status == 201
        advance(DAY_S * 29)
        assert cloud.admin.get(f"{USERS}/{user}").json["user"]["enabled"] is True
        advance(DAY_S)
        assert cloud.log_in("john", "secret").status == 401
        assert cloud.admin.get(f"{USERS}/{user}").json["user"]["enabled"] is False
        assert change(cloud, user, "secret", "other").status == 401
        assert cloud.log_in("robot", "secret").status == 201
        assert set_user(cloud, user, enabled=True)["enabled"] is True
        assert cloud.log_in("john", "secret").status == 201


def test_programs_are_not_their_users(make_cloud):
    """A login with an application credential is no sign of its user, and ends with the user's account."""
    with make_cloud(disable_user_account_days_inactive=30, lockout_failure_attempts=9) as (cloud, advance):
        token = cloud.token("demo", "demo-password", project("demo"))
        user = cloud.admin.get(f"{USERS}?name=demo").json["users"][0]["id"]
        body = {"application_credential": {"name": "c", "secret": "s"}}
        made = cloud.client(token).post(f"{USERS}/{user}/application_credentials", body)
        given = {"id": made.json["application_credential"]["id"], "secret": "s"}
        identity = {"methods": ["application_credential"], "application_credential": given}
        log_in = lambda: cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": {"identity": identity}}).status  # noqa: E731
        cloud.log_in("demo", "wrong")
        advance(DAY_S * 20)
        assert log_in() == 201 and row_of(cloud, user).failed_auth_count == 1
        advance(DAY_S * 10)
        assert log_in() == 401


def test_passwords_expire(make_cloud):
    with make_cloud(password_expires_days=90) as (cloud, advance):
        user = cloud.make_user()
        assert user["password_expires_at"] == clock.iso_micro_z(clock.after(90 * DAY_S)[:19] + ".000000")
        token = cloud.log_in("john", "secret").json["token"]
        assert token["user"]["password_expires_at"] == user["password_expires_at"]
        advance(90 * DAY_S)
        expired = cloud.log_in("john", "secret")
        words = f"The password is expired and needs to be changed for user: {user['id']}."
        assert expired.status == 401 and expired.json["error"]["message"] == words
        assert words not in cloud.log_in("john", "wrong").text
        assert change(cloud, user["id"], "secret", "other").status == 204
        advance(1)
        assert cloud.log_in("john", "other").status == 201


def test_passwords_that_never_expire(make_cloud):
    with make_cloud(password_expires_days=1) as (cloud, advance):
        assert cloud.make_user(options={"ignore_password_expiry": True})["password_expires_at"] is None
        late = cloud.make_user("anna")["id"]
        advance(2 * DAY_S)
        assert cloud.log_in("john", "secret").status == 201
        assert cloud.log_in("anna", "secret").status == 401
        set_user(cloud, late, options={"ignore_password_expiry": True})
        assert cloud.log_in("anna", "secret").status == 201


def test_list_by_expiry(make_cloud):
    with make_cloud(password_expires_days=10) as (cloud, advance):
        cloud.make_user("soon")
        cloud.make_user("never", options={"ignore_password_expiry": True})
        advance(DAY_S)
        cloud.make_user("later")
        moment = clock.iso_z(clock.after(10 * DAY_S - 3600))

        def names(query):
            return [one["name"] for one in cloud.admin.get(f"{USERS}?password_expires_at={query}").json["users"]]

        assert names(f"lt:{moment}") == ["soon"]
        assert names(f"gt:{moment}") == ["later"]
        assert names(f"gt:{moment}&name=soon") == []


def test_first_use(make_cloud):
    with make_cloud(change_password_upon_first_use=True) as (cloud, advance):
        user = cloud.make_user()["id"]
        assert "needs to be changed" in cloud.log_in("john", "secret").text
        assert change(cloud, user, "secret", "other").status == 204
        advance(1)
        assert cloud.log_in("john", "other").status == 201
        set_user(cloud, user, password="reset")
        assert cloud.log_in("john", "reset").status == 401
        set_user(cloud, user, options={"ignore_change_password_upon_first_use": True}, password="again")
        advance(1)
        assert cloud.log_in("john", "again").status == 201
        assert cloud.log_in("admin", ADMIN_PASSWORD).status == 201


def test_history(make_cloud):
    with make_cloud(unique_last_password_count=3) as (cloud, _):
        user = cloud.make_user(password="p0")["id"]
        assert change(cloud, user, "p0", "p0").status == 400
        assert change(cloud, user, "p0", "p1").status == 204
        assert change(cloud, user, "p1", "p2").status == 204
        for former in ("p0", "p1", "p2"):
            refused = change(cloud, user, "p2", former)
            assert refused.status == 400 and "must be unique is 3" in refused.json["error"]["message"]
        assert change(cloud, user, "p2", "p3").status == 204
        assert change(cloud, user, "p3", "p0").status == 204
        set_user(cloud, user, password="p3")  # administrators may
        assert change(cloud, user, "p3", "p0").status == 400  # and what they replaced is remembered


def test_history_is_no_longer_than_needed_and_goes_with_the_user(make_cloud):
    with make_cloud(unique_last_password_count=2) as (cloud, _):
        user = cloud.make_user(password="p0")["id"]
        for number in range(4):
            assert change(cloud, user, f"p{number}", f"p{number + 1}").status == 204

        def remembered():
            with cloud.cloud.db.read() as tx:
                return tx.rows(table_of(FormerPassword).select())

        assert len(remembered()) == 1 and remembered()[0].password_hash.startswith("$argon2id$")
        cloud.admin.delete(f"{USERS}/{user}")
        assert remembered() == []


def test_a_history_that_is_longer_than_the_rules_ask_for(make_cloud):
    """The operator has lowered the number since."""
    with make_cloud(unique_last_password_count=3) as (cloud, _):
        user = cloud.make_user(password="p0")["id"]
        for number in range(2):
            assert change(cloud, user, f"p{number}", f"p{number + 1}").status == 204
    with make_cloud(unique_last_password_count=2) as (cloud, _):
        assert change(cloud, user, "p2", "p1").status == 400
        assert change(cloud, user, "p2", "p0").status == 204


def test_without_history_the_same_password_is_fine(make_cloud):
    with make_cloud() as (cloud, _):
        user = cloud.make_user()["id"]
        assert change(cloud, user, "secret", "secret").status == 204


def test_minimum_age(make_cloud):
    with make_cloud(minimum_password_age=2) as (cloud, advance):
        user = cloud.make_user()["id"]
        assert change(cloud, user, "secret", "p1").status == 204  # an administrator's password may go at once
        advance(DAY_S)
        refused = change(cloud, user, "p1", "p2")
        assert refused.status == 400 and "minimum password age" in refused.json["error"]["message"]
        advance(DAY_S + 1)
        assert change(cloud, user, "p1", "p2").status == 204
        set_user(cloud, user, password="p3")
        assert change(cloud, user, "p3", "p4").status == 204


def test_locked_passwords(make_cloud):
    with make_cloud() as (cloud, _):
        user = cloud.make_user(options={"lock_password": True})["id"]
        assert "contact your administrator" in change(cloud, user, "secret", "other").json["error"]["message"]
        assert change(cloud, user, "wrong", "other").status == 401
        set_user(cloud, user, options={"lock_password": None})
        assert change(cloud, user, "secret", "other").status == 204


def test_strength(make_cloud):
    rules = {"password_regex": r"^(?=.*\d)(?=.*[a-z]).{7,}$", "password_regex_description": "7 letters and digits"}
    with make_cloud(**rules) as (cloud, _):
        refused = cloud.admin.post(USERS, {"user": {"name": "john", "password": "secret"}})
        assert refused.status == 400 and "requirements: 7 letters and digits." in refused.json["error"]["message"]
        user = cloud.make_user(password="secret77")["id"]
        assert cloud.admin.patch(f"{USERS}/{user}", {"user": {"password": "hush"}}).status == 400
        weak = change(cloud, user, "secret77", "hush-hush")
        assert weak.status == 400 and "hush" not in weak.text
        assert change(cloud, user, "secret77", "secret78").status == 204
        assert cloud.make_user("nobody", password=None)["password_expires_at"] is None


def test_a_password_taken_away(make_cloud):
    with make_cloud(password_expires_days=5) as (cloud, _):
        user = cloud.make_user()["id"]
        assert set_user(cloud, user, password=None)["password_expires_at"] is None
        assert cloud.log_in("john", "secret").status == 401


@pytest.mark.parametrize(
    "line",
    [
        'password_regex = "["',
        "lockout_failure_attempts = -1",
        'external_proxies = ["everywhere"]',
        'report_invalid_password_hash = ["event"]',
        'invalid_password_hash_function = "rot13"',
        'invalid_password_hash_function = "shake_128"',
        'external_user_header = "X-Remote-User"',
    ],
)
def test_rules_that_cannot_be(tmp_path, line):
    path = tmp_path / "altostratus.toml"
    path.write_text(f"[identity]\n{line}\n")
    with pytest.raises(ConfigError, match="identity"):
        load(path, [IdentityOptions])


def test_clues_to_wrong_passwords(make_cloud):
    rules = {"report_invalid_password_hash": ["event"], "invalid_password_hash_secret_key": "0123456789abcdef"}
    with make_cloud(**rules, invalid_password_hash_max_chars=7) as (cloud, _):
        user = cloud.make_user()["id"]
        for name, password in (("john", "wrong"), ("john", "wrong"), ("john", "other"), ("nobody", "wrong")):
            assert cloud.log_in(name, password).status == 401
        assert cloud.log_in("john", "secret").status == 201
        with cloud.cloud.db.read() as tx:
            events = tx.rows(table_of(EventRow).select())
        told = [event.payload for event in events if event.event_type == "identity.authenticate"]
        assert [one["initiator"]["user_id"] for one in told] == [user, user, user, None]
        clues = [one["attachments"][0]["content"] for one in told]
        assert clues[0] == clues[1] == clues[3] != clues[2] and {len(clue) for clue in clues} == {7}
        assert "wrong" not in str(told)
