# SPDX-License-Identifier: Apache-2.0
"""`LdapDirectory` against a real OpenLDAP server."""

import base64
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.services.identity.directory.contract import Condition, DirectoryDown
from altostratus.services.identity.directory.ldap import LdapDirectory
from altostratus.services.identity.directory.settings import WrongSettings, parse_settings
from altostratus.services.identity.logic import domain_options
from tests.services.identity.ldap.slapd import SUFFIX, Slapd, group, options, person, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
WRITABLE = {f"{kind}_allow_{right}": True for kind in ("user", "group") for right in ("create", "update", "delete")}
UNIX_GROUP = f"""\
dn: cn=unix,ou=groups,{SUFFIX}
objectClass: posixGroup
cn: unix
gidNumber: 1000
memberUid: ada
memberUid: carol
memberUid: somebody

"""
FAR_AWAY = f"""\
dn: ou=far,ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: far

""" + person("deep").replace("uid=deep,", "uid=deep,ou=far,")
PEOPLE = "".join((
    person("ada", "", "description: wrote the first program", "employeeType: programmer"),
    person("bob"), person("carol"), person("o*(x)\\, y+z", "odd-password"),
    group("staff", "ada", "bob"), group("empty"), UNIX_GROUP, FAR_AWAY,
))  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("slapd") / "one", PEOPLE) as one:
        yield one


def directory(server: Slapd, **more: Any) -> LdapDirectory:
    known = domain_options.LDAP | domain_options.SENSITIVE["ldap"]
    return LdapDirectory(parse_settings(known | options(server, **more)))


def test_a_user_is_found_by_id_and_by_name(server: Slapd) -> None:
    found = directory(server)
    assert [one.dn for one in found.users_by_id(["ada"])] == [f"uid=ada,ou=people,{SUFFIX}"]
    [ada] = found.users_by_name("ada")
    assert ada.values == {"description": "wrote the first program", "enabled": True}
    assert ada.extra == {"email": "ada@example.org"}
    assert found.users_by_name("nobody") == []


def test_additional_attributes_are_shown_under_their_names(server: Slapd) -> None:
    found = directory(server, user_additional_attribute_mapping=["employeeType:job"])
    assert found.users_by_id(["ada"])[0].extra["job"] == "programmer"


def test_only_the_right_password_lets_in(server: Slapd) -> None:
    found = directory(server)
    [ada] = found.users_by_id(["ada"])
    assert found.is_password(ada, "ada-password")
    assert not found.is_password(ada, "bob-password")


def test_an_empty_password_lets_nobody_in_although_the_server_would(server: Slapd) -> None:
    found = directory(server)
    [ada] = found.users_by_id(["ada"])
    assert not found.is_password(ada, "")


@pytest.mark.parametrize("password", ["\x00", "\x07", "\ud800", "\u0627a", "\u00ad", "x" * 4096])
def test_an_odd_password_is_wrong_and_nothing_more(server: Slapd, password: str) -> None:
    found = directory(server)
    [ada] = found.users_by_id(["ada"])
    assert not found.is_password(ada, password)


@pytest.mark.parametrize("password", ["pass word\x07", "\u0627a", "пароль"])
def test_an_odd_password_can_be_set_and_is_right(server: Slapd, password: str) -> None:
    found = directory(server, **WRITABLE)
    odd = found.create_user({"name": "odd"}, password)
    try:
        assert found.is_password(odd, password)
    finally:
        found.delete_user(odd)


@pytest.mark.parametrize("name", ["*", "a*", "ada)(uid=*", "*)(objectClass=*", "ada\x00", "(", "\\2a", "\ud800"])
def test_a_name_that_is_a_filter_finds_nobody(server: Slapd, name: str) -> None:
    assert directory(server).users_by_name(name) == []


def test_odd_names_are_found_as_they_are(server: Slapd) -> None:
    found = directory(server)
    [odd] = found.users_by_name("o*(x)\\, y+z")
    assert odd.name == "o*(x)\\, y+z" and found.is_password(odd, "odd-password")


def test_lists_filter_and_say_when_there_is_more(server: Slapd) -> None:
    found = directory(server)
    everybody = found.list_users([], 100)
    assert len(everybody.entries) == 4 and everybody.whole
    assert [one.name for one in found.list_users([Condition("name", "startswith", "car")], 100).entries] == ["carol"]
    some = found.list_users([], 2)
    assert len(some.entries) == 2 and not some.whole


def test_pages_are_put_together(server: Slapd) -> None:
    found = directory(server, page_size=1)
    assert len(found.list_users([], 100).entries) == 4
    some = found.list_users([], 2)
    assert len(some.entries) == 2 and not some.whole


def test_groups_of_a_user_and_members_of_a_group(server: Slapd) -> None:
    found = directory(server)
    [ada], [staff] = found.users_by_id(["ada"]), found.groups_by_id(["staff"])
    assert [one.name for one in found.groups_of(ada)] == ["staff"]
    assert [one.name for one in found.members_of(staff, 100).entries] == ["ada", "bob"]
    assert found.groups_of(found.users_by_id(["carol"])[0]) == []
    assert found.members_of(found.groups_by_id(["empty"])[0], 100).entries == []


def test_groups_may_name_members_by_their_ids(server: Slapd) -> None:
    found = directory(
        server, group_objectclass="posixGroup", group_member_attribute="memberUid", group_members_are_ids=True
    )
    [carol], [unix] = found.users_by_id(["carol"]), found.groups_by_id(["unix"])
    assert [one.name for one in found.groups_of(carol)] == ["unix"]
    assert sorted(one.name for one in found.members_of(unix, 100).entries) == ["ada", "carol"]


def test_a_tree_is_searched_if_the_options_say_so(server: Slapd) -> None:
    assert directory(server).users_by_id(["deep"]) == []
    found = directory(server, query_scope="sub")
    [deep] = found.users_by_id(["deep"])
    assert deep.dn.startswith("uid=deep,ou=far,") and found.is_password(deep, "deep-password")


def test_the_options_filter_hides_users(server: Slapd) -> None:
    found = directory(server, user_filter="(employeeType=programmer)")
    assert [one.name for one in found.list_users([], 100).entries] == ["ada"]
    assert found.users_by_id(["bob"]) == []


def test_start_tls_and_ldaps_with_our_own_ca(server: Slapd) -> None:
    for more in ({"use_tls": True}, {"url": server.tls_url}):
        found = directory(server, tls_cacertfile=server.ca_file, **more)
        [ada] = found.users_by_id(["ada"])
        assert found.is_password(ada, "ada-password")


@pytest.mark.parametrize("kind", ["start", "ldaps"])
def test_a_certificate_of_an_unknown_ca_is_refused(server: Slapd, kind: str) -> None:
    more: dict[str, Any] = {"use_tls": True} if kind == "start" else {"url": server.tls_url}
    with pytest.raises(DirectoryDown):
        directory(server, tls_cacertfile=str(server.directory / "other.pem"), **more).users_by_id(["ada"])


def test_a_certificate_for_another_name_is_refused(server: Slapd) -> None:
    url = server.tls_url.replace("127.0.0.1", "localhost")
    with pytest.raises(DirectoryDown):
        directory(server, url=url, tls_cacertfile=server.ca_file).users_by_id(["ada"])
    assert directory(server, url=url, tls_req_cert="never").users_by_id(["ada"])


def test_the_second_server_is_asked_when_the_first_is_dead(server: Slapd) -> None:
    assert directory(server, url=f"ldap://127.0.0.1:1,{server.url}").users_by_id(["ada"])


def test_a_wrong_password_of_the_cloud_itself_is_not_taken_for_a_wrong_user(server: Slapd) -> None:
    with pytest.raises(DirectoryDown):
        directory(server, password="wrong").users_by_id(["ada"])


def test_a_silent_server_is_given_up(server: Slapd) -> None:
    found = directory(server, connection_timeout=1)
    assert found.users_by_id(["ada"])
    server.freeze()
    try:
        for more in ({}, {"use_tls": True}, {"url": server.tls_url}):
            started = time.monotonic()
            with pytest.raises(DirectoryDown):
                (found if not more else directory(server, connection_timeout=1, **more)).users_by_id(["ada"])
            assert time.monotonic() - started < 5
    finally:
        server.thaw()
    assert found.users_by_id(["ada"])


def test_users_are_made_changed_and_deleted(server: Slapd) -> None:
    found = directory(server, **WRITABLE)
    dan = found.create_user({"name": "dan, the new", "description": "fresh", "enabled": True}, "first")
    assert dan.name == "dan, the new" and found.is_password(dan, "first")
    dan = found.update_user(dan, {"description": None, "email": "dan@example.org"}, "second")
    assert dan.values["description"] is None and dan.extra["email"] == "dan@example.org"
    assert found.is_password(dan, "second") and not found.is_password(dan, "first")
    with pytest.raises(Conflict):
        found.create_user({"name": "dan, the new"}, None)
    with pytest.raises(BadRequest):
        found.update_user(dan, {"name": "other"}, None)
    found.delete_user(dan)
    assert found.users_by_id([dan.local_id]) == []


def test_a_password_is_not_stored_readable(server: Slapd) -> None:
    found = directory(server, **WRITABLE)
    eve = found.create_user({"name": "eve"}, "plain-words")
    try:
        stored = re.findall(r"userPassword:: (\S+)", server.run_tool("cat"))
        passwords = [base64.b64decode(one) for one in stored]
        assert b"plain-words" not in passwords and any(one.startswith(b"{SSHA") for one in passwords)
    finally:
        found.delete_user(eve)


def test_groups_are_made_filled_emptied_and_deleted(server: Slapd) -> None:
    found = directory(server, **WRITABLE)
    [ada], crew = found.users_by_id(["ada"]), found.create_group({"name": "crew", "description": "on board"})
    assert found.members_of(crew, 10).entries == []
    found.add_member(crew, ada)
    found.add_member(crew, ada)
    assert [one.name for one in found.members_of(crew, 10).entries] == ["ada"]
    found.remove_member(crew, ada)
    assert found.update_group(crew, {"description": "ashore"}).values["description"] == "ashore"
    found.delete_group(crew)
    assert found.groups_by_id(["crew"]) == []


def test_the_last_member_can_leave_a_group_that_cannot_be_empty(server: Slapd) -> None:
    found = directory(server, **WRITABLE)
    fay = found.create_user({"name": "fay"}, None)
    duo = found.create_group({"name": "duo"})
    found.add_member(duo, fay)
    [itself] = found.groups_by_id(["duo"])
    found._connections.change(
        lambda connection: connection.modify(duo.dn, {"member": [("MODIFY_DELETE", [itself.dn])]})
    )
    found.remove_member(duo, fay)
    assert found.groups_of(fay) == []
    found.delete_user(fay)
    found.delete_group(duo)


def test_a_bit_of_a_number_says_who_is_enabled(server: Slapd) -> None:
    found = directory(
        server, user_enabled_attribute="employeeNumber", user_enabled_mask=2, user_enabled_default="512", **WRITABLE
    )
    gil = found.create_user({"name": "gil", "enabled": False}, None)
    try:
        assert gil.values["enabled"] is False
        assert "employeeNumber: 514" in server.run_tool("cat")
        assert found.update_user(gil, {"enabled": True}, None).values["enabled"] is True
        assert "employeeNumber: 512" in server.run_tool("cat")
        assert found.users_by_id(["ada"])[0].values["enabled"] is True
    finally:
        found.delete_user(gil)


def test_an_inverted_lock_attribute_says_who_is_disabled(server: Slapd) -> None:
    found = directory(
        server,
        user_enabled_attribute="employeeType",
        user_enabled_invert=True,
        user_enabled_default="False",
        **WRITABLE,
    )
    hal = found.create_user({"name": "hal", "enabled": False}, None)
    try:
        assert hal.values["enabled"] is False
        assert found.update_user(hal, {"enabled": True}, None).values["enabled"] is True
    finally:
        found.delete_user(hal)


def test_a_group_says_who_is_enabled(server: Slapd) -> None:
    found = directory(
        server, user_enabled_emulation=True, user_enabled_emulation_dn=f"cn=staff,ou=groups,{SUFFIX}", **WRITABLE
    )
    enabled = {one.name: one.values["enabled"] for one in found.list_users([], 100).entries}
    assert enabled["ada"] and enabled["bob"] and not enabled["carol"]
    [carol] = found.users_by_id(["carol"])
    assert carol.values["enabled"] is False
    carol = found.update_user(carol, {"enabled": True}, None)
    assert carol.values["enabled"] is True
    assert found.update_user(carol, {"enabled": False}, None).values["enabled"] is False


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "ldapi:///var/run/x", "file:///etc/passwd", "", "ldap://a:b@host/"]
)
def test_only_ldap_addresses_are_used(server: Slapd, url: str) -> None:
    with pytest.raises(WrongSettings):
        directory(server, url=url)


@pytest.mark.parametrize("name", ["user_id_attribute", "group_member_attribute", "user_objectclass"])
def test_an_attribute_that_is_a_filter_is_refused(server: Slapd, name: str) -> None:
    with pytest.raises(WrongSettings, match=name):
        directory(server, **{name: "uid=*)(cn"})
