# SPDX-License-Identifier: Apache-2.0
"""What changes in a directory behind the cloud's back, and what happens when the directory is not there."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from altostratus.kernel import clock
from altostratus.kernel.config import Settings
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory import looking
from altostratus.services.identity.directory.directories import Directories
from altostratus.services.identity.directory.fake import FakeDirectory
from altostratus.services.identity.directory.looking import refresh_watched
from altostratus.services.identity.logic import mirror
from altostratus.services.identity.reconcilers.directories import forget_gone
from tests.services.identity.conftest import BASE, IdentityCloud
from tests.services.identity.ldap.conftest import Corp, fill
from tests.services.identity.ldap.slapd import Slapd, options

HOLD_S = 0.3


@pytest.fixture
def domain(cloud: IdentityCloud, fake: FakeDirectory) -> Corp:
    made = Corp(cloud)
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    role = cloud.role_id("member")
    assert cloud.admin.put(f"{BASE}/projects/{demo}/groups/{made.id_of('groups', 'staff')}/roles/{role}").status == 204
    return made


def in_demo(domain: Corp, name: str = "ada") -> Any:
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    return domain.cloud.client(domain.token(name, scope))


def is_good(client: Any) -> bool:
    return bool(client.get(f"{BASE}/auth/projects").status == 200)


def let_time_pass(cloud: IdentityCloud, column: str = "checked_at", days: int = 1) -> None:
    """Everybody was looked at, or missed, so long ago."""
    with cloud.cloud.db.write() as tx:
        before = clock.after(-days * 86_400)
        tx.conn.exec_driver_sql(f"UPDATE id_mappings SET {column} = ? WHERE {column} IS NOT NULL", (before,))


def test_using_a_token_asks_no_directory(domain: Corp, fake: FakeDirectory) -> None:
    client = in_demo(domain)
    let_time_pass(domain.cloud)
    asked = fake.asked
    assert is_good(client) and fake.asked == asked


def test_whoever_left_the_directory_is_out_after_the_next_look(domain: Corp, fake: FakeDirectory) -> None:
    client = in_demo(domain)
    del fake.users["ada"]
    let_time_pass(domain.cloud)
    refresh_watched(domain.cloud.cloud)
    assert not is_good(client)
    assert domain.log_in("ada").status == 401
    assert "ada" not in {one["name"] for one in domain.list("users")}


def test_whoever_left_a_group_loses_its_roles_after_the_next_look(domain: Corp, fake: FakeDirectory) -> None:
    client = in_demo(domain)
    fake.members["staff"].remove("ada")
    let_time_pass(domain.cloud)
    refresh_watched(domain.cloud.cloud)
    assert not is_good(client)


def test_lists_of_users_do_not_make_their_groups_fresh(domain: Corp, fake: FakeDirectory) -> None:
    client = in_demo(domain)
    fake.members["staff"].remove("ada")
    let_time_pass(domain.cloud)
    domain.list("users")
    refresh_watched(domain.cloud.cloud)
    assert not is_good(client)


def test_a_list_that_was_asked_for_earlier_hides_nobody_from_a_later_one(domain: Corp) -> None:
    inside = domain.cloud.cloud
    later = looking.look_through(inside, domain.id, "user", [])
    with inside.db.write() as tx:
        entries = fill(FakeDirectory()).users.values()
        mirror.store(tx, inside, domain.id, "user", entries, moment=clock.after(-60))
        assert len(tx.scalars(mirror.shown_since("user", domain.id, later.moment))) == 3


def test_whoever_was_disabled_is_out_after_the_next_look_and_old_tokens_stay_void(
    domain: Corp, fake: FakeDirectory
) -> None:
    client, ada = in_demo(domain), fake.users["ada"]
    fake.update_user(ada, {"enabled": False}, None)
    let_time_pass(domain.cloud)
    refresh_watched(domain.cloud.cloud)
    assert not is_good(client) and domain.log_in("ada").status == 401
    fake.update_user(ada, {"enabled": True}, None)
    assert domain.log_in("ada").status == 201
    assert not is_good(client)


def test_whoever_was_seen_a_moment_ago_is_not_looked_at(domain: Corp, fake: FakeDirectory) -> None:
    in_demo(domain)
    asked = fake.asked
    refresh_watched(domain.cloud.cloud)
    assert fake.asked == asked


def test_nobody_without_a_token_is_looked_at(domain: Corp, fake: FakeDirectory) -> None:
    domain.list("users")
    let_time_pass(domain.cloud)
    asked = fake.asked
    refresh_watched(domain.cloud.cloud)
    assert fake.asked == asked


def test_who_comes_back_has_the_same_id_and_roles(domain: Corp, fake: FakeDirectory) -> None:
    before, ada = domain.id_of("users", "ada"), fake.users.pop("ada")
    domain.list("users")
    assert domain.log_in("ada").status == 401
    fake.users["ada"] = ada
    assert domain.id_of("users", "ada") == before
    assert is_good(in_demo(domain))


def test_who_stays_away_is_forgotten_with_everything(domain: Corp, fake: FakeDirectory) -> None:
    cloud, ada = domain.cloud, domain.id_of("users", "ada")
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.grant("reader", user=ada, project=demo)
    del fake.users["ada"]
    domain.list("users")
    forget_gone(cloud.cloud)
    assert cloud.admin.get(f"{BASE}/role_assignments?user.id={ada}").json["role_assignments"]
    let_time_pass(cloud, "gone_at", days=31)
    forget_gone(cloud.cloud)
    assert cloud.admin.get(f"{BASE}/role_assignments?user.id={ada}").json["role_assignments"] == []
    assert cloud.admin.get(f"{BASE}/users/{ada}").status == 404


def test_an_empty_answer_throws_nobody_out(domain: Corp, fake: FakeDirectory) -> None:
    client = in_demo(domain)
    fake.users.clear()
    assert domain.list("users") == []
    assert is_good(client)


def test_a_trust_gives_no_more_than_the_directory_leaves_the_trustor(domain: Corp, fake: FakeDirectory) -> None:
    cloud, ada = domain.cloud, domain.id_of("users", "ada")
    john = cloud.make_user()["id"]
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    given = {
        "trustor_user_id": ada, "trustee_user_id": john, "project_id": demo, "impersonation": True,
        "roles": [{"name": "member"}],
    }  # fmt: skip
    trust = in_demo(domain).post(f"{BASE}/OS-TRUST/trusts", {"trust": given}).json["trust"]
    scope = {"OS-TRUST:trust": {"id": trust["id"]}}
    client = cloud.as_user("john", "secret", scope)
    fake.members["staff"].remove("ada")
    let_time_pass(cloud)
    assert cloud.log_in("john", "secret", scope).status in (401, 403)
    assert client.get(f"{BASE}/users/{ada}/groups").status == 401


def test_tokens_of_directory_users_are_short(domain: Corp) -> None:
    assert len(domain.token("ada")) < 255


def test_many_users_are_listed_whole_and_pages_neither_repeat_nor_skip(domain: Corp, fake: FakeDirectory) -> None:
    for number in range(1200):
        fake.add_user(f"user-{number}")
    everybody = {one["id"] for one in domain.list("users")}
    assert len(everybody) == 1203
    paged: list[str] = []
    while page := domain.list("users", "&limit=500" + (f"&marker={paged[-1]}" if paged else "")):
        paged += [one["id"] for one in page]
    assert len(paged) == 1203 and set(paged) == everybody


def test_whoever_logs_in_first_eight_times_at_once_is_one_user(domain: Corp) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: domain.log_in("carol"), range(8)))
    assert [answer.status for answer in answers] == [201] * 8
    assert len({answer.json["token"]["user"]["id"] for answer in answers}) == 1


def test_names_may_change_places(domain: Corp, fake: FakeDirectory) -> None:
    before = {one["name"]: one["id"] for one in domain.list("users")}
    ada, bob = fake.users["ada"], fake.users["bob"]
    fake.users["ada"] = type(ada)("ada", ada.dn, "bob", ada.values, ada.extra)
    fake.users["bob"] = type(bob)("bob", bob.dn, "ada", bob.values, bob.extra)
    after = {one["name"]: one["id"] for one in domain.list("users")}
    assert (after["ada"], after["bob"]) == (before["bob"], before["ada"])


def test_two_users_of_one_name_cannot_log_in_by_it(domain: Corp, fake: FakeDirectory) -> None:
    ada = fake.users["ada"]
    fake.users["other"] = type(ada)("other", "uid=other", "ada", ada.values, ada.extra)
    assert domain.log_in("ada").status == 401


def test_without_its_directory_the_domains_tokens_end(domain: Corp, fake: FakeDirectory) -> None:
    client, cloud = in_demo(domain), domain.cloud
    assert cloud.admin.delete(f"{BASE}/domains/{domain.id}/config").status == 204
    let_time_pass(cloud)
    refresh_watched(cloud.cloud)
    assert not is_good(client)
    assert domain.log_in("ada").status == 401


def test_a_wrong_name_costs_the_directory_as_much_as_a_wrong_password(domain: Corp, fake: FakeDirectory) -> None:
    domain.list("users")
    costs = []
    for name in ("ada", "nobody"):
        before = fake.asked
        assert domain.log_in(name, "wrong").status == 401
        costs.append(fake.asked - before)
    assert costs[0] == costs[1] == 2


def test_wrong_passwords_lock_also_whom_the_cloud_has_never_seen(tmp_path: Path) -> None:
    directory = fill(FakeDirectory())
    with IdentityCloud(tmp_path, lockout_failure_attempts=2, lockout_duration=60) as cloud:
        Directories.of(cloud.cloud).open = lambda options: directory
        corp = Corp(cloud)
        assert [corp.log_in("ada", "wrong").status for _ in range(2)] == [401, 401]
        assert corp.log_in("ada").status == 401
        assert corp.log_in("bob").status == 201


# a directory that is not there


def test_a_dead_directory_is_said_and_hurts_nobody_else(domain: Corp, fake: FakeDirectory) -> None:
    client, cloud = in_demo(domain), domain.cloud
    fake.down = True
    answer = domain.log_in("ada")
    assert answer.status == 503 and "Try again in a while" in answer.text
    assert cloud.admin.get(f"{BASE}/users?domain_id={domain.id}").status == 503
    assert cloud.log_in("demo", "demo-password").status == 201
    assert cloud.admin.get(f"{BASE}/users").status == 200
    assert cloud.admin.get(f"{BASE}/role_assignments?effective").status == 200
    let_time_pass(cloud)
    refresh_watched(cloud.cloud)
    assert is_good(client)


def test_after_a_failure_nobody_asks_for_a_while(domain: Corp, fake: FakeDirectory) -> None:
    fake.down = True
    assert domain.log_in("ada").status == 503
    fake.down, asked = False, fake.asked
    assert domain.log_in("ada").status == 503 and fake.asked == asked
    Directories.of(domain.cloud.cloud)._held[domain.id].rests_until = 0
    assert domain.log_in("ada").status == 201


def test_with_a_token_one_gets_another_while_the_directory_is_dead(domain: Corp, fake: FakeDirectory) -> None:
    token = domain.token("ada")
    fake.down = True
    let_time_pass(domain.cloud)
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
    assert domain.cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 201


def test_a_silent_server_holds_few_threads_and_not_for_long(cloud: IdentityCloud, server: Slapd) -> None:
    corp = Corp(cloud, **options(server, connection_timeout=2))
    assert corp.log_in("ada").status == 201
    server.freeze()
    took: list[float] = []

    def log_in() -> None:
        started = time.monotonic()
        assert corp.log_in("ada").status == 503
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=log_in) for _ in range(12)]
    for thread in threads:
        thread.start()
    time.sleep(HOLD_S)
    assert cloud.log_in("demo", "demo-password").status == 201
    for thread in threads:
        thread.join()
    server.thaw()
    assert len(took) == 12 and sum(one > 1.5 for one in took) <= 4
    started = time.monotonic()
    assert corp.log_in("ada").status == 503
    assert time.monotonic() - started < 1


# who may name a directory


def test_only_the_clouds_administrators_say_where_a_directory_is(domain: Corp, fake: FakeDirectory) -> None:
    cloud = domain.cloud
    boss = cloud.make_user("boss", "secret", domain_id="default")["id"]
    for role in ("admin", "manager"):
        cloud.grant(role, user=boss, domain=domain.id)
    theirs = cloud.as_user("boss", "secret", {"domain": {"id": domain.id}})
    body = {"config": {"ldap": {"url": "ldap://169.254.169.254"}}}
    path = f"{BASE}/domains/{domain.id}/config"
    assert [call(path, body).status for call in (theirs.put, theirs.patch)] in ([403, 403], [401, 401])


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ldapi:///x", "file:///etc/passwd"])
def test_an_address_of_another_kind_is_never_opened(cloud: IdentityCloud, url: str) -> None:
    corp = Corp(cloud, url=url)
    answer = corp.log_in("ada")
    assert answer.status == 503 and "only ldap://" in answer.text


def test_the_configuration_file_may_name_a_directory(tmp_path: Path) -> None:
    directory = fill(FakeDirectory())
    seen: list[Any] = []

    def open_it(given: Any) -> FakeDirectory:
        seen.append(given)
        return directory

    with IdentityCloud(tmp_path, directories={"corp": {"url": "ldap://in-file", "user": "cn=x"}}) as cloud:
        Directories.of(cloud.cloud).open = open_it
        corp = Corp.__new__(Corp)
        corp.cloud, corp.id = cloud, cloud.make("domains", "domain", name="corp")["id"]
        assert corp.log_in("ada").status == 201
        assert seen[0]["url"] == "ldap://in-file" and seen[0]["user_id_attribute"] == "cn"


def test_an_unknown_option_in_the_file_is_refused() -> None:
    with pytest.raises(ValueError, match="user_tree"):
        Settings([IdentityOptions(directories={"corp": {"user_tree": "ou=people"}})])
