# SPDX-License-Identifier: Apache-2.0
"""OAuth 1: consumers, the way to an access token, tokens made of it, and every way to be refused."""

import json
from urllib.parse import parse_qsl

import pytest
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, SIGNATURE_PLAINTEXT, Client

from altostratus.kernel import clock
from altostratus.services.identity.logic import oauth1 as logic
from altostratus.services.identity.models import AccessToken, Consumer, RequestToken, UsedNonce
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, project
from tests.services.identity.test_ec2_tokens import ask, simple_request

OAUTH = f"{BASE}/OS-OAUTH1"
HERE = "http://falconframework.org"
BY_SIGNATURE = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}


class Program:
    """A consumer: signs its requests. `place` is what it takes for the address of the cloud."""

    def __init__(self, cloud, consumer, place=HERE, method="HMAC-SHA1"):
        self.cloud, self.key, self.secret, self.place, self.method = (
            cloud, consumer["id"], consumer["secret"], place, method,
        )  # fmt: skip

    def sign(self, path, token=None, **options):
        more = {} if token is None else {"resource_owner_key": token[0], "resource_owner_secret": token[1]}
        client = Client(self.key, self.secret, signature_method=self.method, **more, **options)
        return client.sign(self.place + path, http_method="POST")[1]

    def send(self, path, headers, body=None):
        return self.cloud.client(None).post(path, body, headers=headers)

    def ask(self, project_id):
        headers = self.sign(f"{OAUTH}/request_token", callback_uri="oob") | {"Requested-Project-Id": project_id}
        return self.send(f"{OAUTH}/request_token", headers)

    def exchange(self, request_token, verifier):
        path = f"{OAUTH}/access_token"
        return self.send(path, self.sign(path, request_token, verifier=verifier))

    def log_in(self, access_token):
        path = f"{BASE}/auth/tokens"
        return self.send(path, self.sign(path, access_token), BY_SIGNATURE)


def pair(answer):
    assert answer.status == 201, answer.text
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    given = dict(parse_qsl(answer.text))
    assert clock.parse(given["oauth_expires_at"]).timestamp() > clock.unix()
    return given["oauth_token"], given["oauth_token_secret"]


@pytest.fixture
def consumer(cloud):
    return cloud.make("OS-OAUTH1/consumers", "consumer", description="a robot")


@pytest.fixture
def program(cloud, consumer):
    return Program(cloud, consumer)


@pytest.fixture
def place(cloud):
    return cloud.admin.get(f"{BASE}/projects?name=admin").json["projects"][0]["id"]


def authorize(cloud, request_token, *roles):
    path = f"{OAUTH}/authorize/{request_token[0]}"
    return cloud.admin.put(path, {"roles": list(roles or [{"name": "reader"}])})


def verifier_of(cloud, request_token, *roles):
    answer = authorize(cloud, request_token, *roles)
    assert answer.status == 200, answer.text
    return answer.json["token"]["oauth_verifier"]


@pytest.fixture
def access_token(cloud, program, place):
    asked = pair(program.ask(place))
    return pair(program.exchange(asked, verifier_of(cloud, asked)))


def admin_id(cloud):
    return cloud.admin.get(f"{BASE}/users?name=admin").json["users"][0]["id"]


def given_path(cloud, access_token):
    return f"{BASE}/users/{admin_id(cloud)}/OS-OAUTH1/access_tokens/{access_token[0]}"


# consumers


def test_consumers(cloud):
    made = cloud.admin.post(f"{OAUTH}/consumers", {"consumer": {"description": "d", "some:odd-name": 1}})
    assert made.status == 201
    shown = made.json["consumer"]
    path = f"{OAUTH}/consumers/{shown['id']}"
    assert len(shown.pop("secret")) == 32 and shown["some_odd_name"] == 1
    assert shown["links"]["self"].endswith(path)
    assert cloud.admin.get(path).json["consumer"] == shown
    assert cloud.admin.get(f"{OAUTH}/consumers").json["consumers"] == [shown]
    changed = cloud.admin.patch(path, {"consumer": {"description": "new"}}).json["consumer"]
    assert changed == shown | {"description": "new"}
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == 404
    assert cloud.make("OS-OAUTH1/consumers", "consumer")["description"] is None


def test_consumers_refused(cloud, consumer):
    path = f"{OAUTH}/consumers/{consumer['id']}"
    assert cloud.admin.patch(path, {"consumer": {"secret": "mine"}}).status == 400
    assert cloud.admin.patch(path, {"consumer": {"id": "another"}}).status == 400
    assert cloud.admin.post(f"{OAUTH}/consumers", {"consumer": {"description": 7}}).status == 400
    demo = cloud.as_user("demo", "demo-password", project("demo"))
    assert demo.get(f"{OAUTH}/consumers").status == 403
    assert demo.post(f"{OAUTH}/consumers", {"consumer": {}}).status == 403
    assert demo.delete(path).status == 403


def test_secrets_are_sealed(cloud, program, consumer, place):
    asked = pair(program.ask(place))
    with cloud.cloud.db.read() as tx:
        assert consumer["secret"] not in str(tx.get(Consumer, consumer["id"]))
        assert asked[1] not in str(tx.get(RequestToken, asked[0]))


# the way


@pytest.mark.parametrize("method", ["HMAC-SHA1", SIGNATURE_HMAC_SHA256])
def test_the_whole_way(cloud, consumer, place, method):
    program = Program(cloud, consumer, method=method)
    asked = pair(program.ask(place))
    verifier = verifier_of(cloud, asked, {"id": cloud.role_id("member")})
    assert len(verifier) == 8 and not set(verifier) & set("jiIl1oO0")
    access = pair(program.exchange(asked, verifier))
    assert program.exchange(asked, verifier).status == 404  # used up
    answer = program.log_in(access)
    assert answer.status == 201
    token = answer.json["token"]
    assert token["methods"] == ["oauth1"]
    assert token["OS-OAUTH1"] == {"consumer_id": consumer["id"], "access_token_id": access[0]}
    assert token["project"]["id"] == place and token["user"]["id"] == admin_id(cloud)
    # what member implies comes along, what the user has besides does not
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    robot = cloud.client(answer.headers["x-subject-token"])
    assert robot.get(f"{BASE}/auth/projects").status == 200
    assert robot.get(f"{BASE}/users").status == 403


def test_the_scope_is_that_of_the_access_token(cloud, program, access_token, place):
    path = f"{BASE}/auth/tokens"
    body = {"auth": BY_SIGNATURE["auth"] | {"scope": project("demo")}}
    answer = program.send(path, program.sign(path, access_token), body)
    assert answer.json["token"]["project"]["id"] == place


def test_a_token_ends_with_its_access_token(cloud, program, access_token):
    with cloud.cloud.db.write() as tx:
        tx.update(AccessToken, access_token[0], expires_at=clock.after(100))
    expires = program.log_in(access_token).json["token"]["expires_at"]
    assert clock.parse(expires).timestamp() < clock.unix() + 101


# refused questions


def test_requests_without_a_signature(cloud, place):
    ask = lambda headers: cloud.client(None).post(f"{OAUTH}/request_token", headers=headers)  # noqa: E731
    assert ask({}).status == 400
    for header in ("Basic abc", "OAuth", "OAuth nonsense"):
        assert ask({"Authorization": header, "Requested-Project-Id": place}).status == 400, header
    answer = ask({"Authorization": 'OAuth oauth_consumer_key="x"', "Requested-Project-Id": place})
    assert answer.status == 400 and "Validation failed with errors" in answer.text


def test_requests_that_are_signed_wrong(cloud, consumer, program, place):
    assert Program(cloud, consumer | {"secret": "0" * 32}).ask(place).status == 401
    assert Program(cloud, consumer, place="https://falconframework.org").ask(place).status == 401
    assert Program(cloud, consumer, place=f"{HERE}/elsewhere").ask(place).status == 401
    assert Program(cloud, consumer, method=SIGNATURE_PLAINTEXT).ask(place).status == 400
    assert Program(cloud, consumer | {"id": "0" * 32}).ask(place).status == 404
    assert program.ask("0" * 32).status == 404
    assert program.send(f"{OAUTH}/request_token", program.sign(f"{OAUTH}/request_token")).status == 400


def test_a_signed_request_counts_once(cloud, program, place, access_token):
    path = f"{OAUTH}/request_token"
    headers = program.sign(path, callback_uri="oob") | {"Requested-Project-Id": place}
    assert program.send(path, headers).status == 201
    assert program.send(path, headers).status == 401
    path = f"{BASE}/auth/tokens"
    headers = program.sign(path, access_token)
    assert program.send(path, headers, BY_SIGNATURE).status == 201
    assert program.send(path, headers, BY_SIGNATURE).status == 401


def test_a_signed_request_is_good_for_ten_minutes(cloud, program, place):
    path = f"{OAUTH}/request_token"
    for seconds, status in ((500, 201), (-500, 201), (700, 400), (-700, 400)):
        headers = program.sign(path, timestamp=str(int(clock.unix() + seconds)))
        assert program.send(path, headers | {"Requested-Project-Id": place}).status == status, seconds
    headers = program.sign(path, timestamp="soon") | {"Requested-Project-Id": place}
    assert program.send(path, headers).status == 400


def test_behind_a_proxy_clients_sign_the_address_of_the_catalog(cloud, consumer, place):
    outside = Program(cloud, consumer, place="https://cloud.example:8443")
    assert outside.ask(place).status == 401
    [service] = cloud.admin.get(f"{BASE}/services?type=identity").json["services"]
    endpoint = {"service_id": service["id"], "interface": "public", "url": "https://cloud.example:8443/identity"}
    cloud.make("endpoints", "endpoint", **endpoint)
    asked = pair(outside.ask(place))
    assert outside.log_in(pair(outside.exchange(asked, verifier_of(cloud, asked)))).status == 201
    assert Program(cloud, consumer, place="http://cloud.example:8443").ask(place).status == 401


# refused authorizations


def test_refused_authorizations(cloud, program, place):
    asked = pair(program.ask(place))
    assert authorize(cloud, ("0" * 32, "")).status == 404
    assert authorize(cloud, asked, {"name": "nobody has it"}).status == 404
    assert authorize(cloud, asked, {"odd": "x"}).status == 400
    assert cloud.admin.put(f"{OAUTH}/authorize/{asked[0]}", {"roles": []}).status == 400
    other = cloud.make("roles", "role", name="other")
    assert authorize(cloud, asked, {"id": other["id"]}).status == 401
    demo = cloud.as_user("demo", "demo-password", project("demo"))
    assert demo.put(f"{OAUTH}/authorize/{asked[0]}", {"roles": [{"name": "reader"}]}).status == 403
    with clock.frozen(clock.unix() + 3000):  # tokens last 3600 s, the request token was made shorter here
        with cloud.cloud.db.write() as tx:
            tx.update(RequestToken, asked[0], expires_at=clock.after(-1))
        assert authorize(cloud, asked).status == 401


def test_delegated_tokens_authorize_nothing(cloud, program, place, access_token):
    asked = pair(program.ask(place))
    whole = verifier_of(cloud, asked, {"name": "admin"})
    robot = cloud.client(program.log_in(pair(program.exchange(asked, whole))).headers["x-subject-token"])
    path = f"{OAUTH}/authorize/{pair(program.ask(place))[0]}"
    assert robot.put(path, {"roles": [{"name": "reader"}]}).status == 403
    user = admin_id(cloud)
    made = cloud.admin.post(f"{BASE}/users/{user}/application_credentials", {"application_credential": {"name": "x"}})
    given = {name: made.json["application_credential"][name] for name in ("id", "secret")}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": given}}
    helper = cloud.client(cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).headers["x-subject-token"])
    for delegated in (robot, helper):
        assert delegated.put(path, {"roles": [{"name": "reader"}]}).status == 403
        assert delegated.get(f"{BASE}/users/{user}/OS-OAUTH1/access_tokens").status == 403
        assert delegated.get(given_path(cloud, access_token)).status == 403
        assert delegated.delete(given_path(cloud, access_token)).status == 403
    assert robot.get(f"{OAUTH}/consumers").status == 200


# refused exchanges


def test_refused_exchanges(cloud, consumer, program, place):
    asked = pair(program.ask(place))
    assert program.exchange(asked, "23456789").status == 401  # nobody has authorized it
    verifier = verifier_of(cloud, asked)
    refused = program.exchange(asked, "23456789")
    assert refused.status == 401 and "Provided verifier" in refused.text
    assert "Invalid signature" in Program(cloud, consumer | {"secret": "x"}).exchange(asked, verifier).text
    assert "Invalid signature" in program.exchange((asked[0], "x"), verifier).text
    assert "does not exist" in Program(cloud, consumer | {"id": "0" * 32}).exchange(asked, verifier).text
    other = Program(cloud, cloud.make("OS-OAUTH1/consumers", "consumer"))
    assert "consumer key does not match" in other.exchange(asked, verifier).text
    assert program.exchange(("0" * 32, "x"), verifier).status == 404
    path = f"{OAUTH}/access_token"
    assert program.send(path, program.sign(path, asked)).status == 400  # no verifier
    assert program.send(path, program.sign(path)).status == 400  # no token
    with cloud.cloud.db.write() as tx:
        tx.update(RequestToken, asked[0], expires_at=clock.after(-1))
    assert program.exchange(asked, verifier).status == 401


# refused logins


def test_refused_logins(cloud, consumer, program, access_token):
    assert program.log_in(("0" * 32, "x")).status == 401
    assert program.log_in((access_token[0], "x")).status == 401
    assert Program(cloud, cloud.make("OS-OAUTH1/consumers", "consumer")).log_in(access_token).status == 401
    assert cloud.client(None).post(f"{BASE}/auth/tokens", BY_SIGNATURE).status == 400
    path = f"{BASE}/auth/tokens"
    assert program.send(path, program.sign(path), BY_SIGNATURE).status == 400
    with cloud.cloud.db.write() as tx:
        tx.update(AccessToken, access_token[0], expires_at=clock.after(-1))
    assert program.log_in(access_token).status == 401


def test_tokens_make_no_other_tokens(cloud, program, access_token):
    token = program.log_in(access_token).headers["x-subject-token"]
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": "unscoped"}
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 403


# what was given, and taking it back


def test_what_a_user_has_given(cloud, consumer, access_token, place):
    path = given_path(cloud, access_token)
    shown = cloud.admin.get(path).json["access_token"]
    assert shown["consumer_id"] == consumer["id"] and shown["authorizing_user_id"] == admin_id(cloud)
    assert shown["project_id"] == place and shown["links"]["roles"] == shown["links"]["self"] + "/roles"
    assert "secret" not in str(shown)
    assert cloud.admin.get(path.rpartition("/")[0]).json["access_tokens"] == [shown]
    [role] = cloud.admin.get(f"{path}/roles").json["roles"]
    assert role["name"] == "reader"
    assert cloud.admin.get(f"{path}/roles/{role['id']}").json["role"] == role
    assert cloud.admin.get(f"{path}/roles/{cloud.role_id('member')}").status == 404
    stranger = cloud.make_user()
    assert cloud.admin.get(path.replace(admin_id(cloud), stranger["id"])).status == 404
    assert cloud.admin.delete(path.replace(admin_id(cloud), stranger["id"])).status == 404
    assert cloud.as_user("demo", "demo-password", project("demo")).get(path).status == 403


def test_taken_back(cloud, program, access_token):
    robot = cloud.client(program.log_in(access_token).headers["x-subject-token"])
    assert cloud.admin.delete(given_path(cloud, access_token)).status == 204
    assert robot.get(f"{BASE}/auth/projects").status == 401
    assert program.log_in(access_token).status == 401
    assert cloud.admin.delete(given_path(cloud, access_token)).status == 404


def test_a_consumer_takes_all_along(cloud, consumer, program, access_token, place):
    robot = cloud.client(program.log_in(access_token).headers["x-subject-token"])
    pair(program.ask(place))
    assert cloud.admin.delete(f"{OAUTH}/consumers/{consumer['id']}").status == 204
    assert robot.get(f"{BASE}/auth/projects").status == 401
    with cloud.cloud.db.read() as tx:
        for model in (Consumer, RequestToken, AccessToken, UsedNonce):
            assert tx.find(model) is None


def test_a_lost_role_is_lost_to_consumers(cloud, program, place):
    user = cloud.make_user("helper", "secret")
    cloud.grant("admin", user=user["id"], project=place)
    cloud.grant("member", user=user["id"], project=place)
    asked = pair(program.ask(place))
    helper = cloud.as_user("helper", "secret", project("admin"))
    answer = helper.put(f"{OAUTH}/authorize/{asked[0]}", {"roles": [{"name": "admin"}]})
    access = pair(program.exchange(asked, answer.json["token"]["oauth_verifier"]))
    robot = cloud.client(program.log_in(access).headers["x-subject-token"])
    assert robot.get(f"{BASE}/users").status == 200
    path = f"{BASE}/projects/{place}/users/{user['id']}/roles/{cloud.role_id('admin')}"
    assert cloud.admin.delete(path).status == 204
    assert robot.get(f"{BASE}/users").status == 403
    assert robot.get(f"{BASE}/auth/projects").status == 200
    assert cloud.admin.delete(f"{BASE}/users/{user['id']}").status == 204
    assert robot.get(f"{BASE}/auth/projects").status == 401
    with cloud.cloud.db.read() as tx:
        assert tx.find(AccessToken) is None


def test_a_project_takes_what_was_given_on_it(cloud, program):
    made = cloud.make("projects", "project", name="short")
    cloud.grant("admin", user=admin_id(cloud), project=made["id"])
    asked = pair(program.ask(made["id"]))
    access = pair(program.exchange(asked, verifier_of(cloud, asked)))
    pair(program.ask(made["id"]))
    assert program.log_in(access).status == 201
    assert cloud.admin.delete(f"{BASE}/projects/{made['id']}").status == 204
    assert program.log_in(access).status == 401
    with cloud.cloud.db.read() as tx:
        assert tx.find(AccessToken) is None and tx.find(RequestToken) is None


def test_pruning(cloud, program, place, access_token):
    pair(program.ask(place))
    logic.prune(cloud.cloud)
    with cloud.cloud.db.read() as tx:
        assert tx.find(AccessToken) is not None and tx.find(RequestToken) is not None
    with clock.frozen(clock.unix() + 100_000):
        logic.prune(cloud.cloud)
    with cloud.cloud.db.read() as tx:
        assert tx.find(AccessToken) is None and tx.find(RequestToken) is None and tx.find(UsedNonce) is None


def test_a_password_change_ends_the_tokens(cloud, program, access_token):
    robot = cloud.client(program.log_in(access_token).headers["x-subject-token"])
    path = f"{BASE}/users/{admin_id(cloud)}"
    assert cloud.admin.patch(path, {"user": {"password": ADMIN_PASSWORD}}).status == 200
    assert robot.get(f"{BASE}/auth/projects").status == 401


def test_what_outlives_an_access_token_is_not_made_with_it(cloud, program, place):
    asked = pair(program.ask(place))
    access = pair(program.exchange(asked, verifier_of(cloud, asked, {"name": "admin"})))
    robot = cloud.client(program.log_in(access).headers["x-subject-token"])
    user = admin_id(cloud)
    trust = {"trustor_user_id": user, "trustee_user_id": user, "project_id": place, "impersonation": True,
             "roles": [{"name": "reader"}]}  # fmt: skip
    assert robot.post(f"{BASE}/OS-TRUST/trusts", {"trust": trust}).status == 403
    path = f"{BASE}/users/{user}/application_credentials"
    assert robot.post(path, {"application_credential": {"name": "x"}}).status == 403


def test_keys_made_with_an_access_token_end_with_it(cloud, program, access_token, place):
    robot = cloud.client(program.log_in(access_token).headers["x-subject-token"])
    keys = {"access": "a", "secret": "s"}
    body = {"type": "ec2", "blob": json.dumps(keys), "project_id": place}
    made = robot.post(f"{BASE}/credentials", {"credential": body})
    assert json.loads(made.json["credential"]["blob"])["access_token_id"] == access_token[0]
    answer = ask(cloud, simple_request(keys, "2"))
    assert answer.json["token"]["OS-OAUTH1"]["access_token_id"] == access_token[0]
    assert [role["name"] for role in answer.json["token"]["roles"]] == ["reader"]
    assert cloud.admin.delete(given_path(cloud, access_token)).status == 204
    assert ask(cloud, simple_request(keys, "2")).status == 401
