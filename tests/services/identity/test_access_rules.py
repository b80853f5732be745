# SPDX-License-Identifier: Apache-2.0
"""Access rules of application credentials: made, shown, reused, honoured, and not to be got rid of."""

import pytest

from altostratus.services.identity.models import AccessRule, CredentialRule
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

TOKENS = f"{BASE}/auth/tokens"
HONOURED = {"OpenStack-Identity-Access-Rules": "1"}
OWN_PROJECTS = {"path": "/v3/auth/projects", "method": "GET", "service": "identity"}
OWN_USER = {"path": "/v3/users/{user_id}", "method": "GET", "service": "identity"}


class Owner:
    """demo, with the paths of what belongs to demo."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.client = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
        self.id = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
        self.credentials = f"{BASE}/users/{self.id}/application_credentials"
        self.rules = f"{BASE}/users/{self.id}/access_rules"

    def post(self, name, rules, client=None, **members):
        body = {"name": name, "access_rules": rules, **members}
        return (client or self.client).post(self.credentials, {"application_credential": body})

    def make(self, name, rules, **members):
        answer = self.post(name, rules, **members)
        assert answer.status == 201, answer.text
        return answer.json["application_credential"]

    def log_in(self, credential):
        given = {"id": credential["id"], "secret": credential["secret"]}
        auth = {"identity": {"methods": ["application_credential"], "application_credential": given}}
        answer = self.cloud.client(None).post(TOKENS, {"auth": auth})
        assert answer.status == 201, answer.text
        return answer

    def robot(self, *rules, **members):
        answer = self.log_in(self.make("robot", list(rules), **members))
        return self.cloud.client(answer.headers["x-subject-token"])


@pytest.fixture
def owner(cloud):
    return Owner(cloud)


def test_rules_are_made_with_a_credential_and_shown(owner):
    credential = owner.make("robot", [OWN_PROJECTS, OWN_USER, OWN_PROJECTS])
    shown = credential["access_rules"]
    assert [{name: one[name] for name in OWN_USER} for one in shown if one["path"] == OWN_USER["path"]] == [OWN_USER]
    assert len(shown) == 2 and all(set(one) == {"id", "path", "method", "service"} for one in shown)
    assert owner.client.get(f"{owner.credentials}/{credential['id']}").json["application_credential"][
        "access_rules"
    ] == (shown)
    listed = owner.client.get(owner.rules).json["access_rules"]
    assert sorted(one["id"] for one in listed) == sorted(one["id"] for one in shown)
    assert listed[0]["links"]["self"].endswith(f"/v3/access_rules/{listed[0]['id']}")
    one = owner.client.get(f"{owner.rules}/{listed[0]['id']}").json["access_rule"]
    assert one == listed[0] and "user_id" not in one
    assert len(owner.client.get(f"{owner.rules}?path=/v3/auth/projects").json["access_rules"]) == 1
    assert owner.client.get(f"{owner.rules}?method=POST").json["access_rules"] == []


def test_a_credential_without_rules_shows_none_and_may_everything(owner):
    for name, rules in (("a", []), ("b", None)):
        body: dict[str, object] = {"name": name} if rules is None else {"name": name, "access_rules": rules}
        credential = owner.client.post(owner.credentials, {"application_credential": body}).json[
            "application_credential"
        ]
        assert "access_rules" not in credential
        token = owner.log_in(credential)
        assert "access_rules" not in token.json["token"]["application_credential"]
        client = owner.cloud.client(token.headers["x-subject-token"])
        assert client.get(f"{BASE}/auth/projects").status == client.get(f"{BASE}/users/{owner.id}").status == 200


def test_rules_are_reused_by_id_or_by_being_the_same(owner):
    first = owner.make("one", [OWN_PROJECTS])["access_rules"][0]
    assert owner.make("two", [{"id": first["id"]}])["access_rules"] == [first]
    assert owner.make("three", [OWN_PROJECTS])["access_rules"] == [first]
    assert len(owner.client.get(owner.rules).json["access_rules"]) == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"path": "v3", "method": "GET", "service": "identity"},
        {"path": "/" + "x" * 225, "method": "GET", "service": "identity"},
        {"path": "/", "method": "get", "service": "identity"},
        {"path": "/", "method": "OPTIONS", "service": "identity"},
        {"path": "/", "method": "GET"},
        {"path": "/", "method": "GET", "service": ""},
        {"path": "/", "method": "GET", "service": "block storage"},
        {"id": "nothing"},
        {},
        "GET /",
    ],
)
def test_refused_rules(owner, rule):
    assert owner.post("x", [rule]).status == 400
    assert owner.client.get(owner.credentials).json["application_credentials"] == []
    assert owner.client.get(owner.rules).json["access_rules"] == []


def test_a_rule_in_use_stays(owner):
    credential = owner.make("robot", [OWN_PROJECTS])
    path = f"{owner.rules}/{credential['access_rules'][0]['id']}"
    answer = owner.client.delete(path)
    assert answer.status == 403 and "in use" in answer.json["error"]["message"]
    assert owner.client.delete(f"{owner.credentials}/{credential['id']}").status == 204
    assert owner.client.delete(path).status == 204
    assert owner.client.get(path).status == 404 and owner.client.delete(path).status == 404


def test_rules_of_others(cloud, owner):
    rule = owner.make("robot", [OWN_PROJECTS])["access_rules"][0]
    john = cloud.make_user()
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.grant("reader", user=john["id"], project=demo)
    client = cloud.as_user("john", "secret", project("demo"))
    assert client.get(owner.rules).status == 403
    assert client.get(f"{owner.rules}/{rule['id']}").status == 403
    assert client.delete(f"{owner.rules}/{rule['id']}").status == 403
    # under the own path it is as good as none
    own = f"{BASE}/users/{john['id']}"
    assert client.get(f"{own}/access_rules/{rule['id']}").status == 404
    assert client.delete(f"{own}/access_rules/{rule['id']}").status == 404
    body = {"application_credential": {"name": "x", "access_rules": [{"id": rule["id"]}]}}
    assert client.post(f"{own}/application_credentials", body).status == 400
    system = cloud.as_user("admin", "admin-password", {"system": {"all": True}})
    assert system.get(f"{owner.rules}/{rule['id']}").status == 200
    assert cloud.admin.get(owner.rules).status == 403  # as upstream: only who administers the system


def test_only_what_a_rule_allows(owner):
    robot = owner.robot(OWN_USER)
    assert robot.get(f"{BASE}/users/{owner.id}").status == 200
    for method, path in (
        ("GET", f"{BASE}/auth/projects"),
        ("GET", f"{BASE}/users/{owner.id}/projects"),
        ("HEAD", f"{BASE}/users/{owner.id}"),
        ("GET", f"{BASE}/users/{owner.id}/../../auth/projects"),
        ("GET", f"{BASE}/users/%2e%2e/auth/projects"),
    ):
        assert robot.request(method, path).status in (401, 404)
    answer = robot.get(f"{BASE}/auth/projects")
    assert answer.status == 401 and "GET /v3/auth/projects of the service identity" in answer.json["error"]["message"]


def test_rules_may_be_written_with_the_place_of_the_service(owner):
    robot = owner.robot(OWN_USER | {"path": "/identity/v3/users/*"})
    assert robot.get(f"{BASE}/users/{owner.id}").status == 200


def test_the_token_shows_its_rules_to_those_who_honour_them(cloud, owner):
    credential = owner.make("robot", [OWN_USER])
    answer = owner.log_in(credential)
    shown = answer.json["token"]["application_credential"]["access_rules"]
    assert shown == credential["access_rules"]
    token = answer.headers["x-subject-token"]
    robot = cloud.client(token)
    subject = {"X-Subject-Token": token}
    for client in (cloud.admin, robot):  # every token may be used to look at tokens
        assert client.get(TOKENS, headers=subject | HONOURED).json["token"]["application_credential"][
            "access_rules"
        ] == (shown)
    for header in ({}, {"OpenStack-Identity-Access-Rules": "0.9"}, {"OpenStack-Identity-Access-Rules": "x"}):
        assert cloud.admin.get(TOKENS, headers=subject | header).status == 404
        assert cloud.admin.request("HEAD", TOKENS, headers=subject | header).status == 404
    assert cloud.admin.delete(TOKENS, headers=subject).status == 204
    assert cloud.admin.get(TOKENS, headers=subject | HONOURED).status == 404


def test_a_new_token_made_with_the_token_keeps_the_rules(cloud, owner):
    robot = owner.robot(OWN_USER, unrestricted=True)
    auth = {"identity": {"methods": ["token"], "token": {"id": robot.token}}}
    answer = cloud.client(None).post(TOKENS, {"auth": auth})
    assert answer.status == 201
    again = cloud.client(answer.headers["x-subject-token"])
    assert again.get(f"{BASE}/users/{owner.id}").status == 200
    assert again.get(f"{BASE}/auth/projects").status == 401
    for scope in ("unscoped", {"system": {"all": True}}, project("admin")):
        assert cloud.client(None).post(TOKENS, {"auth": auth | {"scope": scope}}).status == 401


def test_a_credential_made_with_the_credential_has_no_other_rules(owner):
    make = {"path": "/v3/users/*/application_credentials", "method": "POST", "service": "identity"}
    robot = owner.robot(OWN_USER, make, unrestricted=True)
    for rules in ([], [OWN_PROJECTS], [OWN_USER, OWN_PROJECTS], [make | {"path": "/**"}]):
        answer = owner.post("child", rules, robot)
        assert answer.status == 403 and "access rules" in answer.json["error"]["message"]
    assert owner.post("child", [OWN_USER], robot).status == 201
    # what was refused left nothing behind
    assert len(owner.client.get(owner.rules).json["access_rules"]) == 2


def test_rules_cost_nothing_to_tokens_without_them(cloud, owner):
    plain = owner.log_in(owner.make("plain", [])).headers["x-subject-token"]
    context = cloud.cloud.authenticator.authenticate(plain)
    assert context.access_rules is None


def test_a_list_of_credentials_with_rules_costs_a_constant_number_of_queries(cloud, owner):
    owner.make("0", [OWN_USER])
    few = cloud.count_queries(lambda: owner.client.get(owner.credentials))
    for number in range(1, 6):
        owner.make(str(number), [OWN_USER, OWN_PROJECTS])
    assert cloud.count_queries(lambda: owner.client.get(owner.credentials)) == few


@pytest.mark.parametrize("what", ["user", "project", "domain"])
def test_rules_and_bindings_leave_with_their_owner(cloud, what):
    domain = cloud.make("domains", "domain", name="guests")["id"]
    place = cloud.make("projects", "project", name="camp", domain_id=domain)["id"]
    guest = cloud.make_user("guest", password="guest", domain_id=domain)["id"]
    cloud.grant("reader", user=guest, project=place)
    client = cloud.as_user("guest", "guest", project("camp", domain), domain=domain)
    body = {"application_credential": {"name": "x", "access_rules": [OWN_USER]}}
    assert client.post(f"{BASE}/users/{guest}/application_credentials", body).status == 201
    if what == "domain":
        assert cloud.admin.patch(f"{BASE}/domains/{domain}", {"domain": {"enabled": False}}).status == 200
    gone = {"user": f"users/{guest}", "project": f"projects/{place}", "domain": f"domains/{domain}"}[what]
    assert cloud.admin.delete(f"{BASE}/{gone}").status == 204
    with cloud.cloud.db.read() as tx:
        assert not tx.rows(CredentialRule.__table__.select())
        # a project's end leaves the user the rules, for other credentials
        assert len(tx.rows(AccessRule.__table__.select())) == (what == "project")
