# SPDX-License-Identifier: Apache-2.0
"""Identity providers, protocols, mappings and service providers, through HTTP."""

import pytest

from tests.services.identity.conftest import BASE

FED = f"{BASE}/OS-FEDERATION"
RULES = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]}]
SP = {"auth_url": "https://beta.example/v3/OS-FEDERATION/x", "sp_url": "https://beta.example/ecp"}


@pytest.fixture
def admin(cloud):
    return cloud.admin


def make_idp(admin, idp_id="acme", **members):
    answer = admin.put(f"{FED}/identity_providers/{idp_id}", {"identity_provider": members})
    assert answer.status == 201, answer.text
    return answer.json["identity_provider"]


def make_mapping(admin, mapping_id="plain", rules=None, **members):
    answer = admin.put(f"{FED}/mappings/{mapping_id}", {"mapping": {"rules": rules or RULES, **members}})
    assert answer.status == 201, answer.text
    return answer.json["mapping"]


def test_an_identity_provider_gets_a_domain_of_its_own(admin):
    idp = make_idp(admin, remote_ids=["https://acme.example"], description="Acme")
    assert idp["enabled"] is False and idp["remote_ids"] == ["https://acme.example"]
    assert idp["links"]["protocols"].endswith("/OS-FEDERATION/identity_providers/acme/protocols")
    domain = admin.get(f"{BASE}/domains/{idp['domain_id']}").json["domain"]
    assert domain["name"] == domain["id"] and "acme" in domain["description"]
    shown = admin.get(f"{FED}/identity_providers/acme").json["identity_provider"]
    assert shown == idp


def test_an_identity_provider_may_have_a_domain_that_exists(admin):
    assert make_idp(admin, domain_id="default", enabled=True)["domain_id"] == "default"
    refused = admin.put(f"{FED}/identity_providers/other", {"identity_provider": {"domain_id": "nowhere"}})
    assert refused.status == 404


def test_no_two_identity_providers_share_a_remote_id(admin):
    make_idp(admin, remote_ids=["https://acme.example"])
    body = {"identity_provider": {"remote_ids": ["https://acme.example"]}}
    refused = admin.put(f"{FED}/identity_providers/other", body)
    assert refused.status == 409 and "Duplicate remote ID" in refused.text
    assert admin.get(f"{FED}/identity_providers/other").status == 404, "nothing is half-done"
    make_idp(admin, "other")
    assert admin.patch(f"{FED}/identity_providers/other", body).status == 409
    assert admin.put(f"{FED}/identity_providers/acme", {"identity_provider": {}}).status == 409


@pytest.mark.parametrize(
    "members",
    [{"name": "x"}, {"authorization_ttl": -1}, {"remote_ids": [1]}, {"remote_ids": ["a", "a"]}, {"enabled": "yes"}],
)
def test_wrong_members_of_an_identity_provider(admin, members):
    assert admin.put(f"{FED}/identity_providers/acme", {"identity_provider": members}).status == 400


def test_identity_providers_are_changed_filtered_and_deleted(admin):
    make_idp(admin, remote_ids=["a", "b"])
    make_idp(admin, "beta", enabled=True)
    changed = admin.patch(
        f"{FED}/identity_providers/acme",
        {"identity_provider": {"remote_ids": ["c"], "authorization_ttl": 5, "description": None}},
    )
    assert changed.status == 200 and changed.json["identity_provider"]["remote_ids"] == ["c"]
    assert changed.json["identity_provider"]["authorization_ttl"] == 5
    listed = admin.get(f"{FED}/identity_providers?enabled=true").json["identity_providers"]
    assert [one["id"] for one in listed] == ["beta"]
    assert len(admin.get(f"{FED}/identity_providers?id=acme").json["identity_providers"]) == 1
    assert admin.patch(f"{FED}/identity_providers/acme", {"identity_provider": {"domain_id": "x"}}).status == 400
    assert admin.delete(f"{FED}/identity_providers/acme").status == 204
    assert admin.get(f"{FED}/identity_providers/acme").status == 404
    assert admin.delete(f"{FED}/identity_providers/acme").status == 404


def test_a_deleted_domain_takes_its_identity_providers_along(admin):
    idp = make_idp(admin)
    admin.patch(f"{BASE}/domains/{idp['domain_id']}", {"domain": {"enabled": False}})
    assert admin.delete(f"{BASE}/domains/{idp['domain_id']}").status == 204
    assert admin.get(f"{FED}/identity_providers/acme").status == 404


def test_protocols(admin):
    make_idp(admin)
    make_mapping(admin)
    path = f"{FED}/identity_providers/acme/protocols/openid"
    made = admin.put(path, {"protocol": {"mapping_id": "plain"}})
    assert made.status == 201 and made.json["protocol"]["mapping_id"] == "plain"
    assert "idp_id" not in made.json["protocol"]
    assert made.json["protocol"]["links"]["identity_provider"].endswith("/identity_providers/acme")
    assert admin.put(path, {"protocol": {"mapping_id": "plain"}}).status == 409
    listed = admin.get(f"{FED}/identity_providers/acme/protocols").json["protocols"]
    assert listed[0]["idp_id"] == "acme" and listed[0]["remote_id_attribute"] is None
    changed = admin.patch(path, {"protocol": {"mapping_id": "plain", "remote_id_attribute": "OIDC-iss"}})
    assert changed.json["protocol"]["remote_id_attribute"] == "OIDC-iss"
    assert admin.patch(path, {"protocol": {"mapping_id": "nothing"}}).status == 400
    assert admin.delete(path).status == 204
    assert admin.get(path).status == 404


def test_a_protocol_needs_its_provider_and_its_mapping(admin):
    refused = admin.put(f"{FED}/identity_providers/acme/protocols/openid", {"protocol": {"mapping_id": "plain"}})
    assert refused.status == 400 and "Invalid mapping id" in refused.text
    make_mapping(admin)
    body = {"protocol": {"mapping_id": "plain"}}
    assert admin.put(f"{FED}/identity_providers/acme/protocols/openid", body).status == 404
    assert admin.get(f"{FED}/identity_providers/acme/protocols").status == 404
    make_idp(admin)
    assert admin.put(f"{FED}/identity_providers/acme/protocols/openid", {"protocol": {}}).status == 400


def test_mappings(admin):
    assert make_mapping(admin, schema_version=None)["schema_version"] == "1.0"
    assert admin.put(f"{FED}/mappings/plain", {"mapping": {"rules": RULES}}).status == 409
    changed = admin.patch(f"{FED}/mappings/plain", {"mapping": {"rules": RULES, "schema_version": "2.0"}})
    assert changed.status == 200 and changed.json["mapping"]["schema_version"] == "2.0"
    assert admin.patch(f"{FED}/mappings/plain", {"mapping": {"schema_version": "2.0"}}).status == 400
    assert [one["id"] for one in admin.get(f"{FED}/mappings").json["mappings"]] == ["plain"]
    assert admin.delete(f"{FED}/mappings/plain").status == 204
    assert admin.get(f"{FED}/mappings/plain").status == 404


def rule(local, *remote):
    return [{"local": [local], "remote": list(remote) or [{"type": "a"}]}]


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ([], "rules"),
        ([{"local": []}], "remote"),
        ([{"local": [], "remote": []}], "remote"),
        (rule({"user": {"nickname": "x"}}), "nickname"),
        (rule({"user": {"type": "root"}}), "root"),
        (rule({"group": {"id": "x", "name": "y"}}), "group"),
        (rule({"group": {"name": "y"}}), "group"),
        (rule({"projects": [{"name": "p"}]}), "roles"),
        (rule({"projects": [{"name": "p", "roles": [], "domain": {"id": "x"}}]}), "domain"),
        (rule({"user": {"name": "x"}}, {"type": "a", "any_one_of": ["x"], "whitelist": ["x"]}), "remote"),
        (rule({"user": {"name": "x"}}, {"type": "a", "any_one_of": "x"}), "remote"),
        (rule({"user": {"name": "{1}"}}), "{1}"),
        (rule({"user": {"name": "{0}"}}, {"type": "a", "any_one_of": ["x"]}), "{0}"),
        (rule({"user": {"name": "{0.__class__}"}}), "brace"),
        (rule({"user": {"name": "{0!r}"}}), "brace"),
        (rule({"user": {"name": "{"}}), "brace"),
        (rule({"groups": "devs"}), "domain"),
        (rule({"user": {"name": "x"}}, {"type": "a", "any_one_of": ["["], "regex": True}), "pattern"),
        (rule({"user": {"name": "x"}}, {"type": "a", "whitelist": ["(a)\\1"], "regex": True}), "pattern"),
        (rule({"user": {"name": "x"}}, {"type": "a", "blacklist": ["x{999}{999}"], "regex": True}), "pattern"),
    ],
)
def test_rules_that_could_not_work_are_refused_with_words(admin, rules, word):
    refused = admin.put(f"{FED}/mappings/wrong", {"mapping": {"rules": rules}})
    assert refused.status == 400 and word in refused.text
    assert admin.get(f"{FED}/mappings/wrong").status == 404


def test_an_unknown_schema_version(admin):
    refused = admin.put(f"{FED}/mappings/wrong", {"mapping": {"rules": RULES, "schema_version": "9.0"}})
    assert refused.status == 400 and "1.0, 2.0" in refused.text


def test_projects_of_schema_2_name_their_domain(admin):
    rules = rule({"user": {"name": "x"}, "projects": [{"name": "p", "roles": [], "domain": {"id": "default"}}]})
    make_mapping(admin, rules=rules, schema_version="2.0")


def test_service_providers(admin):
    made = admin.put(f"{FED}/service_providers/beta", {"service_provider": SP})
    assert made.status == 201, made.text
    shown = made.json["service_provider"]
    assert shown["relay_state_prefix"] == "ss:mem:" and shown["enabled"] is False
    assert admin.put(f"{FED}/service_providers/beta", {"service_provider": SP}).status == 409
    changed = admin.patch(f"{FED}/service_providers/beta", {"service_provider": {"enabled": True}})
    assert changed.json["service_provider"]["enabled"] is True
    assert len(admin.get(f"{FED}/service_providers?enabled=true").json["service_providers"]) == 1
    assert admin.delete(f"{FED}/service_providers/beta").status == 204
    assert admin.get(f"{FED}/service_providers/beta").status == 404


@pytest.mark.parametrize(
    "members", [{}, {"auth_url": SP["auth_url"]}, {**SP, "sp_url": "javascript:alert(1)"}, {**SP, "color": "red"}]
)
def test_wrong_service_providers(admin, members):
    assert admin.put(f"{FED}/service_providers/beta", {"service_provider": members}).status == 400


def test_only_administrators_change_and_only_readers_of_the_system_look(cloud):
    make_idp(cloud.admin)
    user = cloud.make_user()
    cloud.grant("reader", user=user["id"])
    reader = cloud.as_user("john", "secret", {"system": {"all": True}})
    member = cloud.as_user("demo", "demo-password", {"project": {"name": "demo", "domain": {"id": "default"}}})
    for path in ("identity_providers", "identity_providers/acme", "mappings", "service_providers"):
        assert reader.get(f"{FED}/{path}").status == 200
        assert member.get(f"{FED}/{path}").status == 403
    for client in (reader, member):
        assert client.put(f"{FED}/identity_providers/x", {"identity_provider": {}}).status == 403
        assert client.patch(f"{FED}/identity_providers/acme", {"identity_provider": {}}).status == 403
        assert client.delete(f"{FED}/identity_providers/acme").status == 403
        assert client.put(f"{FED}/mappings/x", {"mapping": {"rules": RULES}}).status == 403
        assert client.put(f"{FED}/service_providers/x", {"service_provider": SP}).status == 403
