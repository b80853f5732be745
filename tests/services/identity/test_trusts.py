# SPDX-License-Identifier: Apache-2.0
"""Trusts: making, showing and using them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.models import Trust
from altostratus.services.identity.reconcilers.trusts import prune
from tests.services.identity.conftest import BASE, project

TRUSTS = f"{BASE}/OS-TRUST/trusts"
TOKENS = f"{BASE}/auth/tokens"


class People:
    """ann trusts; ben and cat are trusted; ann is a member (and so a reader) of the project."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.project = cloud.make("projects", "project", name="work")["id"]
        self.ids = {name: cloud.make_user(name, password=name)["id"] for name in ("ann", "ben", "cat")}
        cloud.grant("member", user=self.ids["ann"], project=self.project)
        self.ann = cloud.as_user("ann", "ann", project("work"))
        self.ben = cloud.as_user("ben", "ben")

    def body(self, **members):
        given = {
            "trustor_user_id": self.ids["ann"],
            "trustee_user_id": self.ids["ben"],
            "project_id": self.project,
            "impersonation": True,
            "roles": [{"name": "reader"}],
            **members,
        }
        return {"trust": {name: value for name, value in given.items() if value is not ...}}

    def trust(self, client=None, **members):
        answer = (client or self.ann).post(TRUSTS, self.body(**members))
        assert answer.status == 201, answer.text
        return answer.json["trust"]

    def log_in(self, trust, name="ben"):
        return self.cloud.log_in(name, name, {"OS-TRUST:trust": {"id": trust["id"]}})

    def client(self, trust, name="ben"):
        answer = self.log_in(trust, name)
        assert answer.status == 201, answer.text
        return self.cloud.client(answer.headers["x-subject-token"])

    def role_of_ann(self, name):
        return f"{BASE}/projects/{self.project}/users/{self.ids['ann']}/roles/{self.cloud.role_id(name)}"


@pytest.fixture
def people(cloud):
    return People(cloud)


def test_a_trust_from_its_beginning_to_its_end(cloud, people):
    end = clock.after(1000)[:19] + "Z"
    trust = people.trust(expires_at=end, remaining_uses=5)
    path = f"{TRUSTS}/{trust['id']}"
    assert trust["expires_at"] == end[:19] + ".000000Z"
    assert [role["name"] for role in trust["roles"]] == ["reader"]
    assert trust["roles"][0]["links"]["self"].endswith(f"/v3/roles/{cloud.role_id('reader')}")
    assert trust["roles_links"] == {"self": f"http://falconframework.org{path}/roles", "next": None, "previous": None}
    assert trust["links"]["self"].endswith(path)
    assert trust["redelegation_count"] == 0 and trust["redelegated_trust_id"] is None and trust["deleted_at"] is None
    for client in (people.ann, people.ben, cloud.admin):
        assert client.get(path).json["trust"] == trust
    listed = people.ann.get(f"{TRUSTS}?trustor_user_id={people.ids['ann']}").json["trusts"]
    assert [one["id"] for one in listed] == [trust["id"]] and "roles" not in listed[0]
    assert people.ann.delete(path).status == 204
    assert people.ann.get(path).status == 404
    assert people.ann.delete(path).status == 404
    for change in ("PUT", "PATCH"):
        assert people.ann.request(change, path, people.body()).status == 405


def test_roles_of_a_trust(cloud, people):
    path = f"{TRUSTS}/{people.trust()['id']}/roles"
    reader, member = cloud.role_id("reader"), cloud.role_id("member")
    assert [role["id"] for role in people.ann.get(path).json["roles"]] == [reader]
    assert people.ben.get(f"{path}/{reader}").json["role"]["name"] == "reader"
    assert people.ben.request("HEAD", f"{path}/{reader}").status == 200
    assert people.ben.request("HEAD", f"{path}/{member}").status == 404
    assert cloud.as_user("cat", "cat").get(path).status == 403


def test_who_may_see_which_trusts(cloud, people):
    path = f"{TRUSTS}/{people.trust()['id']}"
    ann, ben = people.ids["ann"], people.ids["ben"]
    cat = cloud.as_user("cat", "cat")
    assert cat.get(path).status == 403 and cat.delete(path).status == 403 and people.ben.delete(path).status == 403
    assert cat.get(f"{TRUSTS}/nothing").status == 404
    assert people.ann.get(TRUSTS).status == 403
    assert people.ben.get(f"{TRUSTS}?trustor_user_id={ann}").status == 403
    assert len(people.ben.get(f"{TRUSTS}?trustee_user_id={ben}").json["trusts"]) == 1
    assert len(cloud.admin.get(TRUSTS).json["trusts"]) == 1
    assert cloud.admin.get(f"{TRUSTS}?trustee_user_id={ann}").json["trusts"] == []
    # the own id does not open the door for another one
    assert people.ben.get(f"{TRUSTS}?trustor_user_id={ben}&trustor_user_id={ann}").status == 403
    assert people.ben.get(f"{TRUSTS}?trustee_user_id={ben}&trustor_user_id={ann}").status == 403
    assert people.ben.get(f"{TRUSTS}?trustor_user_id__contains={ann}").status == 403
    assert cloud.admin.delete(path).status == 204


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"trustee_user_id": ...}, 400),
        ({"trustor_user_id": ...}, 400),
        ({"impersonation": ...}, 400),
        ({"impersonation": "yes"}, 400),
        ({"expires_at": "bad"}, 400),
        ({"expires_at": ""}, 400),
        ({"expires_at": "2010-06-04T08:44:31.999999Z"}, 400),
        ({"remaining_uses": 0}, 400),
        ({"remaining_uses": -1}, 400),
        ({"remaining_uses": 7.2}, 400),
        ({"remaining_uses": "a"}, 400),
        ({"remaining_uses": 2**40}, 400),
        ({"remaining_uses": 2, "allow_redelegation": True}, 400),
        ({"roles": [{"name": "reader", "id": "x"}]}, 400),
        ({"roles": [{"fake": "x"}]}, 400),
        ({"roles": []}, 403),
        ({"roles": ...}, 403),
        ({"allow_redelegation": True, "redelegation_count": 9}, 403),
        ({"redelegated_trust_id": "0" * 32}, 403),
        ({"trustee_user_id": "nobody"}, 404),
        ({"project_id": "nowhere"}, 404),
        ({"roles": [{"id": "nothing"}]}, 404),
        ({"roles": [{"name": "nothing"}]}, 404),
        ({"roles": [{"name": "admin"}]}, 404),
        ({"project_id": None}, 404),  # roles on no project
    ],
)
def test_refused_trusts(people, members, status):
    assert people.ann.post(TRUSTS, people.body(**members)).status == status


def test_only_the_trustor_makes_a_trust(cloud, people):
    assert people.ben.post(TRUSTS, people.body()).status == 403
    assert cloud.admin.post(TRUSTS, people.body()).status == 403


def test_a_name_of_two_roles_must_be_an_id(cloud, people):
    cloud.make("roles", "role", name="reader", domain_id="default")
    answer = people.ann.post(TRUSTS, people.body())
    assert answer.status == 400 and "id" in answer.json["error"]["message"]
    assert people.ann.post(TRUSTS, people.body(roles=[{"id": cloud.role_id("reader")}])).status == 201


def test_the_same_trust_twice(people):
    end = clock.after(1000)[:19] + "Z"
    people.trust(expires_at=end)
    assert people.ann.post(TRUSTS, people.body(expires_at=end)).status == 409
    people.trust()
    people.trust()


def test_a_token_that_impersonates(cloud, people):
    trust = people.trust()
    token = people.log_in(trust).json["token"]
    assert token["user"]["name"] == "ann" and token["project"]["id"] == people.project
    assert [role["name"] for role in token["roles"]] == ["reader"] and token["catalog"]
    assert token["OS-TRUST:trust"] == {
        "id": trust["id"],
        "impersonation": True,
        "trustor_user": {"id": people.ids["ann"]},
        "trustee_user": {"id": people.ids["ben"]},
    }
    client = people.client(trust)
    assert client.get(f"{BASE}/users/{people.ids['ann']}").status == 200
    validated = cloud.admin.get(TOKENS, headers={"X-Subject-Token": client.token})
    assert validated.json["token"]["OS-TRUST:trust"] == token["OS-TRUST:trust"]


def test_a_token_that_does_not_impersonate(people):
    token = people.log_in(people.trust(impersonation=False, roles=[{"name": "member"}])).json["token"]
    assert token["user"]["name"] == "ben" and token["OS-TRUST:trust"]["impersonation"] is False
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]


def test_a_token_of_the_trustee_is_as_good_as_a_password(cloud, people):
    trust = people.trust()
    auth = {
        "identity": {"methods": ["token"], "token": {"id": people.ben.token}},
        "scope": {"OS-TRUST:trust": {"id": trust["id"]}},
    }
    answer = cloud.client(None).post(TOKENS, {"auth": auth})
    assert answer.status == 201 and answer.json["token"]["user"]["name"] == "ann"
    for bad in ("", {}, {"id": 5}):
        broken = auth | {"scope": {"OS-TRUST:trust": bad}}
        assert cloud.client(None).post(TOKENS, {"auth": broken}).status == 400
    both = auth | {"scope": {"OS-TRUST:trust": {"id": trust["id"]}, **project("work")}}
    assert cloud.client(None).post(TOKENS, {"auth": both}).status == 400


def test_only_the_trustee_gets_a_token_and_a_refusal_costs_no_use(cloud, people):
    trust = people.trust(remaining_uses=3)
    assert people.log_in(trust, "cat").status == 403
    assert people.log_in(trust, "ann").status == 403
    assert cloud.log_in("ben", "wrong", {"OS-TRUST:trust": {"id": trust["id"]}}).status == 401
    assert people.log_in({"id": "nothing"}).status == 401
    assert people.ann.get(f"{TRUSTS}/{trust['id']}").json["trust"]["remaining_uses"] == 3


def test_uses_are_counted(people):
    trust = people.trust(remaining_uses=2)
    path = f"{TRUSTS}/{trust['id']}"
    people.client(trust)
    assert people.ann.get(path).json["trust"]["remaining_uses"] == 1
    last = people.client(trust)
    assert people.ann.get(path).status == 404
    assert people.log_in(trust).status == 401
    # no further tokens are issued, but the last one is a token like any other
    assert last.get(f"{BASE}/auth/projects").status == 200


def test_of_many_at_once_only_one_gets_the_last_use(people):
    trust = people.trust(remaining_uses=1)
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: people.log_in(trust).status, range(6)))
    assert statuses.count(201) == 1 and set(statuses) <= {201, 401, 403}


def test_an_unlimited_trust_stays_unlimited(people):
    trust = people.trust()
    people.client(trust)
    assert people.ann.get(f"{TRUSTS}/{trust['id']}").json["trust"]["remaining_uses"] is None


def test_a_trust_without_a_project_gives_no_token(people):
    trust = people.trust(project_id=None, roles=[])
    assert trust["project_id"] is None
    assert people.log_in(trust).status == 401


def test_a_trust_ends(people):
    start = clock.unix()
    with clock.frozen(start) as advance:
        end = clock.after(100)[:19]
        trust = people.trust(expires_at=end)
        answer = people.log_in(trust)
        assert answer.json["token"]["expires_at"].startswith(end)
        advance(200)
        assert people.ann.get(f"{TRUSTS}/{trust['id']}").status == 404
        assert people.log_in(trust).status == 401
        client = people.cloud.client(answer.headers["x-subject-token"])
        assert client.get(f"{BASE}/auth/projects").status == 401


def void(cloud, people, change):
    """Is the trust's token void, and no new one to be had, after `change`?"""
    trust = people.trust()
    client = people.client(trust)
    assert client.get(f"{BASE}/auth/projects").status == 200
    assert change(trust) in (200, 204)
    return client.get(f"{BASE}/auth/projects").status == 401 and people.log_in(trust).status in (401, 403)


def test_deleting_a_trust_voids_its_tokens(cloud, people):
    assert void(cloud, people, lambda trust: people.ann.delete(f"{TRUSTS}/{trust['id']}").status)


@pytest.mark.parametrize("name", ["ann", "ben"])
def test_disabling_or_deleting_trustor_or_trustee(cloud, people, name):
    path = f"{BASE}/users/{people.ids[name]}"
    assert void(cloud, people, lambda _: cloud.admin.patch(path, {"user": {"enabled": False}}).status)
    assert cloud.admin.patch(path, {"user": {"enabled": True}}).status == 200
    people.ann = cloud.as_user("ann", "ann", project("work"))
    assert void(cloud, people, lambda _: cloud.admin.delete(path).status)
    assert not trusts_left(cloud)


def test_a_new_password_of_either_voids_tokens_but_not_the_trust(cloud, people):
    trust = people.trust()
    for name in ("ann", "ben"):
        client = people.client(trust)
        answer = cloud.admin.patch(f"{BASE}/users/{people.ids[name]}", {"user": {"password": name}})
        assert answer.status == 200
        assert client.get(f"{BASE}/auth/projects").status == 401
        assert people.log_in(trust).status == 201


def test_a_lost_role_voids_the_trust(cloud, people):
    cloud.grant("reader", user=people.ids["ann"], project=people.project)
    trust = people.trust(roles=[{"name": "member"}, {"name": "reader"}])
    client = people.client(trust)
    assert cloud.admin.delete(people.role_of_ann("member")).status == 204
    # the reader's role is left, but the trust promised more
    assert client.get(f"{BASE}/auth/projects").status == 401
    answer = people.log_in(trust)
    assert answer.status == 403 and cloud.role_id("member") in answer.json["error"]["message"]


def test_a_deleted_role_voids_the_trust_that_passed_it_on(cloud, people):
    role = cloud.make("roles", "role", name="clerk")
    assert cloud.admin.put(people.role_of_ann("clerk")).status == 204
    trust = people.trust(roles=[{"id": role["id"]}, {"name": "reader"}])
    client = people.client(trust)
    assert cloud.admin.delete(f"{BASE}/roles/{role['id']}").status == 204
    assert client.get(f"{BASE}/auth/projects").status == 401
    assert people.log_in(trust).status == 403
    shown = people.ann.get(f"{TRUSTS}/{trust['id']}").json["trust"]
    assert [one["name"] for one in shown["roles"]] == ["reader"]


def test_a_deleted_project_takes_its_trusts_along(cloud, people):
    trust = people.trust()
    assert cloud.admin.delete(f"{BASE}/projects/{people.project}").status == 204
    assert people.ben.get(f"{TRUSTS}/{trust['id']}").status == 404
    assert not trusts_left(cloud)


def test_a_deleted_domain_takes_the_trusts_of_its_users_along(cloud, people):
    domain = cloud.make("domains", "domain", name="guests")
    guest = cloud.make_user("guest", password="guest", domain_id=domain["id"])
    people.trust(trustee_user_id=guest["id"])
    assert cloud.admin.patch(f"{BASE}/domains/{domain['id']}", {"domain": {"enabled": False}}).status == 200
    assert cloud.admin.delete(f"{BASE}/domains/{domain['id']}").status == 204
    assert not trusts_left(cloud)


def test_a_disabled_domain_of_the_trustor_voids_the_trust(cloud, people):
    domain = cloud.make("domains", "domain", name="guests")
    guest = cloud.make_user("guest", password="guest", domain_id=domain["id"])
    cloud.grant("reader", user=guest["id"], project=people.project)
    client = cloud.as_user("guest", "guest", project("work"), domain=domain["id"])
    trust = people.trust(client, trustor_user_id=guest["id"])
    trusted = people.client(trust)
    assert cloud.admin.patch(f"{BASE}/domains/{domain['id']}", {"domain": {"enabled": False}}).status == 200
    assert trusted.get(f"{BASE}/auth/projects").status == 401
    assert people.log_in(trust).status == 403


def test_roles_of_a_domain_can_be_passed_on_for_what_they_imply(cloud, people):
    own = cloud.make("roles", "role", name="clerk", domain_id="default")
    reader = cloud.role_id("reader")
    assert cloud.admin.put(f"{BASE}/roles/{own['id']}/implies/{reader}").status == 201
    grant = f"{BASE}/projects/{people.project}/users/{people.ids['ann']}/roles/{own['id']}"
    assert cloud.admin.put(grant).status == 204
    token = people.log_in(people.trust(roles=[{"id": own["id"]}])).json["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]


def trusts_left(cloud):
    with cloud.cloud.db.read() as tx:
        return tx.rows(Trust.__table__.select())


def test_what_is_used_up_can_be_thrown_away(cloud, people):
    trust = people.trust(remaining_uses=1)
    people.client(trust)
    path = f"{TRUSTS}/{trust['id']}"
    assert people.ann.get(path).status == 404
    assert people.ben.delete(path).status == 403
    assert people.ann.delete(path).status == 204
    assert not trusts_left(cloud)


def test_what_ended_long_ago_is_forgotten(cloud, people):
    people.trust()
    with clock.frozen(clock.unix()) as advance:
        ended = people.trust(expires_at=clock.after(100)[:19])
        advance(3600)
        prune(cloud.cloud)
        assert ended["id"] in {row.id for row in trusts_left(cloud)}
        advance(3 * 86_400)
        prune(cloud.cloud)
        assert [row.expires_at for row in trusts_left(cloud)] == [None]


def test_a_list_of_trusts_costs_a_constant_number_of_queries(cloud, people):
    people.trust()
    path = f"{TRUSTS}?trustor_user_id={people.ids['ann']}"
    one = cloud.count_queries(lambda: people.ann.get(path))
    for _ in range(5):
        people.trust()
    assert cloud.count_queries(lambda: people.ann.get(path)) == one
