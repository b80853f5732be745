# SPDX-License-Identifier: Apache-2.0
"""Configuration of single domains."""

import pytest

from altostratus.services.identity.logic import domain_config
from altostratus.services.identity.models import DomainOption
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, IdentityCloud, project

WISH = {
    "identity": {"driver": "ldap"},
    "ldap": {"url": "ldap://directory:389", "user_tree_dn": "ou=Users,dc=example", "password": "s3cret-of-ldap"},
}
DEFAULTS = f"{BASE}/domains/config"


@pytest.fixture
def domain(cloud):
    return cloud.make("domains", "domain", name="directory")["id"]


@pytest.fixture
def path(cloud, domain):
    path = f"{BASE}/domains/{domain}/config"
    answer = cloud.admin.put(path, {"config": WISH})
    assert answer.status == 201 and "s3cret" not in answer.text
    return path


def effective(cloud, domain):
    with cloud.cloud.db.read() as tx:
        return domain_config.effective(tx, cloud.cloud, domain)


def test_what_is_shown_has_no_password(cloud, path):
    shown = {"identity": WISH["identity"], "ldap": {name: WISH["ldap"][name] for name in ("url", "user_tree_dn")}}
    assert cloud.admin.get(path).json["config"] == shown
    assert cloud.admin.get(f"{path}/ldap").json["config"] == {"ldap": shown["ldap"]}
    assert cloud.admin.get(f"{path}/ldap/url").json["config"] == {"url": "ldap://directory:389"}
    assert cloud.admin.request("HEAD", path).status == 200
    assert cloud.admin.get(f"{path}/ldap/password").status == 404
    assert cloud.admin.get(f"{path}/ldap/suffix").status == 404


def test_it_holds_with_its_password_and_the_defaults(cloud, domain, path):
    cloud.admin.patch(f"{path}/ldap/url", {"config": {"url": "ldap://u:%(password)s@d/%(other)s%20"}})
    found = effective(cloud, domain)
    assert found["identity"] == {"driver": "ldap", "list_limit": None}
    assert found["ldap"]["password"] == "s3cret-of-ldap"
    assert found["ldap"]["url"] == "ldap://u:s3cret-of-ldap@d/%(other)s%20"
    assert found["ldap"]["user_objectclass"] == "inetOrgPerson"
    assert effective(cloud, "default")["identity"]["driver"] == "sql"
    with cloud.cloud.db.read() as tx:
        assert "s3cret" not in str(tx.get(DomainOption, domain, "ldap", "password"))


def test_changes(cloud, path):
    changed = cloud.admin.patch(path, {"config": {"ldap": {"suffix": "dc=a"}, "identity": {"list_limit": "7"}}})
    assert changed.json["config"]["ldap"]["suffix"] == "dc=a" and changed.json["config"]["identity"]["list_limit"] == 7
    changed = cloud.admin.patch(f"{path}/ldap", {"config": {"ldap": {"suffix": "dc=b", "use_tls": True}}})
    assert changed.json["config"]["ldap"]["suffix"] == "dc=b" and changed.json["config"]["identity"]["list_limit"] == 7
    changed = cloud.admin.patch(f"{path}/ldap/password", {"config": {"password": "n3w"}})
    assert changed.status == 200 and "n3w" not in changed.text
    assert cloud.admin.put(path, {"config": {"identity": {"driver": "sql"}}}).status == 200
    assert cloud.admin.get(path).json["config"] == {"identity": {"driver": "sql"}}


def test_what_is_deleted_is_the_default_again(cloud, domain, path):
    assert cloud.admin.delete(f"{path}/ldap/password").status == 204
    assert effective(cloud, domain)["ldap"]["password"] is None
    assert cloud.admin.delete(f"{path}/ldap/password").status == 404
    assert cloud.admin.delete(f"{path}/ldap").status == 204
    assert cloud.admin.get(f"{path}/ldap").status == 404 and cloud.admin.delete(f"{path}/ldap").status == 404
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == 404
    assert cloud.admin.delete(path).status == 204


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"ldap": {}},
        {"ldap": "text"},
        {"sql": {"url": "x"}},
        {"ldap": {"bogus": "x"}},
        {"ldap": {"url": None}},
        {"ldap": {"url": "x" * 5000}},
        {"ldap": {"url": "ldap://user:secret@host"}},
        {"ldap": {"use_tls": "perhaps"}},
        {"ldap": {"page_size": "many"}},
        {"ldap": {"page_size": True}},
        {"ldap": {"page_size": 1.5}},
        {"ldap": {"pool_retry_delay": "nan"}},
        {"ldap": {"user_attribute_ignore": "one"}},
        {"ldap": {"user_attribute_ignore": [1]}},
    ],
)
def test_refused_configurations(cloud, path, config):
    before = cloud.admin.get(path).json
    body = {} if config is None else {"config": config}
    assert cloud.admin.put(path, body).status == 403
    assert cloud.admin.patch(path, body).status == 403
    assert cloud.admin.get(path).json == before


def test_refused_places(cloud, path):
    ldap = {"config": {"ldap": {"suffix": "dc=a"}}}
    assert cloud.admin.patch(f"{path}/identity", ldap).status == 403
    assert cloud.admin.patch(f"{path}/ldap/url", {"config": {"suffix": "dc=a"}}).status == 403
    assert cloud.admin.patch(f"{path}/ldap/url", {"config": {"url": "ldap://a", "suffix": "dc=a"}}).status == 403
    assert cloud.admin.patch(f"{path}/ldap/suffix", {"config": {"suffix": "dc=a"}}).status == 404
    for answer in (cloud.admin.get, cloud.admin.delete):
        assert answer(f"{path}/sql").status == 403
        assert answer(f"{path}/ldap/bogus").status == 403
    assert cloud.admin.get(f"{BASE}/domains/nothing/config").status == 404
    assert cloud.admin.put(f"{BASE}/domains/nothing/config", {"config": WISH}).status == 404
    group = cloud.make("domains", "domain", name="empty")["id"]
    assert cloud.admin.patch(f"{BASE}/domains/{group}/config/ldap", ldap).status == 404
    assert cloud.admin.patch(f"{BASE}/domains/{group}/config", ldap).status == 200


def test_defaults(cloud):
    everything = cloud.admin.get(f"{DEFAULTS}/default").json["config"]
    assert everything["identity"] == {"driver": "sql", "list_limit": None}
    assert everything["ldap"]["url"] == "ldap://localhost" and "password" not in everything["ldap"]
    assert cloud.admin.get(f"{DEFAULTS}/ldap/default").json["config"] == {"ldap": everything["ldap"]}
    for option, value in everything["ldap"].items():
        assert cloud.admin.get(f"{DEFAULTS}/ldap/{option}/default").json["config"] == {option: value}
    assert cloud.admin.get(f"{DEFAULTS}/ldap/password/default").status == 403
    assert cloud.admin.get(f"{DEFAULTS}/ldap/bogus/default").status == 403
    assert cloud.admin.get(f"{DEFAULTS}/sql/default").status == 403


def test_it_goes_with_its_domain(cloud, domain, path):
    cloud.admin.patch(f"{BASE}/domains/{domain}", {"domain": {"enabled": False}})
    assert cloud.admin.delete(f"{BASE}/domains/{domain}").status == 204
    with cloud.cloud.db.read() as tx:
        assert tx.find(DomainOption, domain) is None


def test_only_administrators(cloud, path):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    answers = [demo.get(path), demo.get(f"{path}/ldap/url"), demo.get(f"{DEFAULTS}/default"), demo.delete(path)]
    answers += [demo.put(path, {"config": WISH}), demo.patch(path, {"config": WISH})]
    assert [answer.status for answer in answers] == [403] * 6
    assert cloud.client(None).get(path).status == 401


def test_everybody_may_know_the_rules_for_passwords(tmp_path):
    with IdentityCloud(tmp_path, password_regex="^.{5,}$", password_regex_description="five characters") as cloud:
        demo, path = cloud.as_user("demo", DEMO_PASSWORD), f"{BASE}/domains/default/config/security_compliance"
        both = {"password_regex": "^.{5,}$", "password_regex_description": "five characters"}
        assert demo.get(path).json["config"] == {"security_compliance": both}
        assert demo.get(f"{path}/password_regex").json["config"] == {"password_regex": "^.{5,}$"}
        assert demo.get(f"{path}/lockout_duration").status == 403
        assert cloud.client(None).get(path).status == 401
        other = cloud.make("domains", "domain", name="other")["id"]
        assert demo.get(f"{BASE}/domains/{other}/config/security_compliance").status == 403
        assert demo.get(f"{BASE}/domains/nothing/config/security_compliance").status == 404
        change = {"config": {"security_compliance": both}}
        for place in (path, f"{path}/password_regex"):
            assert cloud.admin.patch(place, change).status == cloud.admin.delete(place).status == 403


def test_without_rules_there_is_nothing_to_know(cloud):
    shown = cloud.admin.get(f"{BASE}/domains/default/config/security_compliance").json["config"]
    assert shown == {"security_compliance": {"password_regex": None, "password_regex_description": None}}
