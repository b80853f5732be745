# SPDX-License-Identifier: Apache-2.0
"""Tokens for signed EC2 and S3 requests. EC2 requests are signed by keystoneclient, as upstream does it."""

import base64
import copy
import hashlib
import hmac
import json

import pytest
from keystoneclient.contrib.ec2.utils import Ec2Signer

from altostratus.kernel import clock
from altostratus.services.identity.models import Credential
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

HOST = "cloud.example:8788"


@pytest.fixture
def demo(cloud):
    return cloud.as_user("demo", DEMO_PASSWORD, project("demo"))


def demo_id(cloud):
    return cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]


def demo_project(cloud):
    return cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]


def make_pair(cloud, client, status=201):
    path = f"{BASE}/users/{demo_id(cloud)}/credentials/OS-EC2"
    answer = client.post(path, {"tenant_id": demo_project(cloud)})
    assert answer.status == status, answer.text
    return answer.json.get("credential")


@pytest.fixture
def keys(cloud, demo):
    return make_pair(cloud, demo)


def stamp(seconds=0):
    return clock.timestamp(clock.unix() + seconds)[:19]


def simple_request(keys, version, *, at=0, host=HOST):
    """A request of versions 0, 1 and 2."""
    params = {
        "Action": "DescribeInstances",
        "AWSAccessKeyId": keys["access"],
        "SignatureVersion": version,
        "Timestamp": stamp(at) + "Z",
        "SignatureMethod": "HmacSHA256",
    }
    given = {"access": keys["access"], "host": host, "verb": "GET", "path": "/services/Cloud/", "params": params}
    return signed(keys, given)


def new_request(keys, *, at=0, place="headers", verb="POST", **more):
    """A request of version 4; what is signed stands in the headers or in the query."""
    moment = stamp(at).replace("-", "").replace(":", "") + "Z"
    scope = f"{keys['access']}/{moment[:8]}/RegionOne/ec2/aws4_request"
    headers, params = {"Host": HOST, "X-Amz-Date": moment}, {"Action": "DescribeInstances", "Ü x": "a b~+"}
    if place == "headers":
        names = "host;x-amz-date"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature=x"
    else:
        del headers["X-Amz-Date"]
        given = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": scope, "SignedHeaders": "host", "Date": moment}
        params |= {f"X-Amz-{name}": value for name, value in given.items()}
    body = {"access": keys["access"], "host": HOST, "verb": verb, "path": "/", "params": params, "headers": headers}
    return signed(keys, body | {"body_hash": hashlib.sha256(b"").hexdigest()} | more)


def signed(keys, given):
    return given | {"signature": Ec2Signer(keys["secret"]).generate(copy.deepcopy(given))}


def ask(cloud, given, client=None, name="credentials"):
    return (client or cloud.admin).post(f"{BASE}/ec2tokens", {name: given})


def every_kind(keys):
    yield from (simple_request(keys, version) for version in "012")
    yield new_request(keys)
    yield new_request(keys, verb="GET")
    yield new_request(keys, verb="GET", place="params")


def test_every_kind_of_signature(cloud, keys):
    for given in every_kind(keys):
        answer = ask(cloud, given)
        assert answer.status == 200, (given, answer.text)
        token = answer.json["token"]
        assert token["methods"] == ["ec2credential"] and token["user"]["name"] == "demo"
        assert token["project"]["name"] == "demo" and token["catalog"]
        assert [role["name"] for role in token["roles"]] == ["member", "reader"]
        user = cloud.client(answer.headers["x-subject-token"])
        assert user.get(f"{BASE}/auth/projects").json["projects"][0]["name"] == "demo"
        first = "y" if given["signature"].startswith("x") else "x"
        assert ask(cloud, given | {"signature": first + given["signature"][1:]}).status == 401


def test_every_name_of_the_member(cloud, keys):
    for name in ("credentials", "credential", "ec2Credentials"):
        assert ask(cloud, simple_request(keys, "2"), name=name).status == 200


def test_clients_that_sign_the_host_without_its_port(cloud, keys):
    given = simple_request(keys, "2", host="cloud.example") | {"host": HOST}
    assert ask(cloud, given).status == 200
    assert ask(cloud, given | {"host": "elsewhere.example:8788"}).status == 401


@pytest.mark.parametrize(
    "change",
    [{"verb": "PUT"}, {"path": "/other"}, {"body_hash": "0" * 64}, {"params": {"Action": "TerminateInstances"}}],
)
def test_a_changed_request(cloud, keys, change):
    given = new_request(keys, verb="GET")
    assert ask(cloud, given).status == 200
    assert ask(cloud, given | change).status == 401


def test_who_may_ask(cloud, demo, keys):
    given = simple_request(keys, "2")
    assert ask(cloud, given, cloud.client(None)).status == 401
    assert ask(cloud, given, demo).status == 403
    cloud.make_user("nova", "secret")
    [nova] = cloud.admin.get(f"{BASE}/users?name=nova").json["users"]
    if not cloud.admin.get(f"{BASE}/roles?name=service").json["roles"]:
        cloud.make("roles", "role", name="service")
    cloud.grant("service", user=nova["id"], project=demo_project(cloud))
    assert ask(cloud, given, cloud.as_user("nova", "secret", project("demo"))).status == 200
    assert demo.post(f"{BASE}/s3tokens", {"credentials": {}}).status == 403
    assert cloud.client(None).post(f"{BASE}/s3tokens", {"credentials": {}}).status == 401


def test_timely_requests(cloud, keys):
    for at, status in ((0, 200), (-800, 200), (800, 200), (-1000, 401), (1000, 401)):
        assert ask(cloud, simple_request(keys, "2", at=at)).status == status, at
        assert ask(cloud, new_request(keys, at=at)).status == status, at
        assert ask(cloud, new_request(keys, at=at, place="params", verb="GET")).status == status, at
    odd = simple_request(keys, "2")
    odd["params"]["Timestamp"] = "soon"
    assert ask(cloud, signed(keys, odd)).status == 401


def test_refused_requests(cloud, keys):
    good = simple_request(keys, "2")
    assert cloud.admin.post(f"{BASE}/ec2tokens").status == 400
    assert cloud.admin.post(f"{BASE}/ec2tokens", {}).status == 400
    assert ask(cloud, {}).status == 401
    assert ask(cloud, good | {"access": "nobody's"}).status == 404
    assert ask(cloud, {name: value for name, value in good.items() if name != "signature"}).status == 401
    assert ask(cloud, good | {"params": {"SignatureVersion": "9"}}).status == 401
    assert ask(cloud, good | {"params": {}}).status == 401
    assert ask(cloud, good | {"params": []}).status == 400
    odd = new_request(keys)
    odd["headers"]["X-Amz-Date"] = "20010101T000000Z"
    assert ask(cloud, odd).status == 401
    odd["headers"]["Authorization"] = "AWS4-HMAC-SHA256 nonsense"
    assert ask(cloud, odd).status == 401


def test_another_kind_of_credential_is_no_key(cloud, demo):
    blob = json.dumps({"access": "a", "secret": "s"})
    members = {"type": "ec2", "blob": blob, "project_id": demo_project(cloud)}
    made = demo.post(f"{BASE}/credentials", {"credential": members}).json["credential"]
    keys = {"access": "a", "secret": "s"}
    assert ask(cloud, simple_request(keys, "2")).status == 200
    demo.patch(f"{BASE}/credentials/{made['id']}", {"credential": {"type": "cert"}})
    assert ask(cloud, simple_request(keys, "2")).status == 404


def test_what_is_gone_gives_no_token(cloud, demo, keys):
    path = f"{BASE}/projects/{demo_project(cloud)}/users/{demo_id(cloud)}/roles"
    for role in ("member", "reader"):
        cloud.admin.delete(f"{path}/{cloud.role_id(role)}")
    assert ask(cloud, simple_request(keys, "2")).status == 401
    cloud.grant("reader", user=demo_id(cloud), project=demo_project(cloud))
    assert ask(cloud, simple_request(keys, "2")).status == 200
    cloud.admin.patch(f"{BASE}/users/{demo_id(cloud)}", {"user": {"enabled": False}})
    assert ask(cloud, simple_request(keys, "2")).status == 401
    assert cloud.admin.delete(f"{BASE}/users/{demo_id(cloud)}").status == 204
    assert ask(cloud, simple_request(keys, "2")).status == 404


def test_rules_about_several_factors_are_for_people(cloud, keys):
    options = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    cloud.admin.patch(f"{BASE}/users/{demo_id(cloud)}", {"user": {"options": options}})
    assert ask(cloud, simple_request(keys, "2")).status == 200


# S3


def s3_request(keys, text, sign=None):
    made = base64.b64encode(hmac.new(keys["secret"].encode(), text, hashlib.sha1).digest()).decode()
    token = base64.urlsafe_b64encode(text).decode()
    return {"access": keys["access"], "token": token, "signature": made if sign is None else sign}


def s3_new_request(keys, service="s3"):
    scope = f"20260131/RegionOne/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n20260131T120000Z\n{scope}\n{'0' * 64}".encode()
    key = f"AWS4{keys['secret']}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return s3_request(keys, text, hmac.new(key, text, hashlib.sha256).hexdigest())


def ask_s3(cloud, given):
    return cloud.admin.post(f"{BASE}/s3tokens", {"credentials": given})


def test_s3(cloud, keys):
    for given in (s3_request(keys, b"GET\n\n\n\n/bucket/object?\xff\xfe>"), s3_new_request(keys)):
        answer = ask_s3(cloud, given)
        assert answer.status == 200, answer.text
        assert answer.json["token"]["project"]["name"] == "demo"
        assert "x-subject-token" not in answer.headers
        assert ask_s3(cloud, given | {"signature": "x"}).status == 401
        assert ask_s3(cloud, given | {"signature": "ü"}).status == 401


def test_s3_refused(cloud, keys):
    good = s3_new_request(keys)
    assert ask_s3(cloud, s3_new_request(keys, "ec2")).status == 401
    assert ask_s3(cloud, s3_request(keys, b"AWS4 nonsense")).status == 401
    assert ask_s3(cloud, good | {"token": "x"}).status == 401
    assert ask_s3(cloud, {name: value for name, value in good.items() if name != "token"}).status == 400
    assert ask_s3(cloud, good | {"access": "x"}).status == 404
    assert ask_s3(cloud, {}).status == 401


# credentials of delegated tokens stay as weak as these (CVE-2020-12689, -12691, -12692)


def robot_of(cloud, demo, **members):
    path = f"{BASE}/users/{demo_id(cloud)}/application_credentials"
    body = {"name": "robot", "roles": [{"name": "reader"}], **members}
    made = demo.post(path, {"application_credential": body}).json["application_credential"]
    auth = {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": made["id"], "secret": made["secret"]}}}  # fmt: skip
    answer = cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth})
    return made, cloud.client(answer.headers["x-subject-token"])


def test_restricted_programs_make_no_keys(cloud, demo):
    _, robot = robot_of(cloud, demo, roles=[{"name": "member"}])
    make_pair(cloud, robot, status=403)
    blob = json.dumps({"access": "a", "secret": "s"})
    members = {"type": "ec2", "blob": blob, "project_id": demo_project(cloud)}
    assert robot.post(f"{BASE}/credentials", {"credential": members}).status == 403


def test_keys_of_programs_have_their_roles(cloud, demo):
    made, robot = robot_of(cloud, demo, unrestricted=True)
    blob = json.dumps({"access": "a", "secret": "s"})
    members = {"type": "ec2", "blob": blob, "project_id": demo_project(cloud)}
    answer = robot.post(f"{BASE}/credentials", {"credential": members})
    assert json.loads(answer.json["credential"]["blob"])["app_cred_id"] == made["id"]
    answer = ask(cloud, simple_request({"access": "a", "secret": "s"}, "2"))
    assert answer.status == 200, answer.text
    assert [role["name"] for role in answer.json["token"]["roles"]] == ["reader"]
    assert answer.json["token"]["application_credential"]["id"] == made["id"]
    demo.delete(f"{BASE}/users/{demo_id(cloud)}/application_credentials/{made['id']}")
    assert ask(cloud, simple_request({"access": "a", "secret": "s"}, "2")).status == 401


def test_pairs_of_programs_have_their_roles(cloud, demo):
    _, robot = robot_of(cloud, demo, unrestricted=True, roles=[{"name": "member"}])
    keys = make_pair(cloud, robot)
    assert "application_credential" in ask(cloud, simple_request(keys, "2")).json["token"]


def test_a_binding_is_neither_taken_away_nor_made_up(cloud, demo):
    _, robot = robot_of(cloud, demo, unrestricted=True)
    pair, place = {"access": "a", "secret": "s"}, demo_project(cloud)
    members = {"type": "ec2", "blob": json.dumps(pair), "project_id": place}
    path = f"{BASE}/credentials/" + robot.post(f"{BASE}/credentials", {"credential": members}).json["credential"]["id"]
    assert demo.patch(path, {"credential": {"blob": json.dumps(pair)}}).status == 400
    # nor by way of another type
    assert demo.patch(path, {"credential": {"type": "cert"}}).status == 200
    assert demo.patch(path, {"credential": {"blob": json.dumps(pair)}}).status == 400
    assert demo.patch(path, {"credential": {"blob": "no json"}}).status == 400
    for name in ("trust_id", "app_cred_id", "access_token_id"):
        made_up = members | {"blob": json.dumps(pair | {"access": "b", name: "x"})}
        assert demo.post(f"{BASE}/credentials", {"credential": made_up}).status == 400
    plain = demo.post(f"{BASE}/credentials", {"credential": members | {"blob": '{"access": "c", "trust_id": null}'}})
    own = f"{BASE}/credentials/{plain.json['credential']['id']}"
    bound = json.dumps({"access": "c", "app_cred_id": "x"})
    assert demo.patch(own, {"credential": {"blob": bound}}).status == 400
    assert demo.patch(own, {"credential": {"project_id": None}}).status == 400
    assert demo.patch(own, {"credential": {"blob": '{"secret": "x"}'}}).status == 400


def test_delegated_tokens_stay_in_their_project(cloud, demo):
    elsewhere = cloud.make("projects", "project", name="elsewhere")["id"]
    cloud.grant("member", user=demo_id(cloud), project=elsewhere)
    other = demo.post(f"{BASE}/users/{demo_id(cloud)}/credentials/OS-EC2", {"tenant_id": elsewhere}).json["credential"]
    seed = demo.post(f"{BASE}/credentials", {"credential": {"type": "totp", "blob": "seed"}}).json["credential"]
    own = make_pair(cloud, demo)
    _, robot = robot_of(cloud, demo, unrestricted=True, roles=[{"name": "member"}])
    assert len(demo.get(f"{BASE}/credentials").json["credentials"]) == 3
    assert len(robot.get(f"{BASE}/credentials").json["credentials"]) == 1
    pairs = f"{BASE}/users/{demo_id(cloud)}/credentials/OS-EC2"
    assert [pair["access"] for pair in robot.get(pairs).json["credentials"]] == [own["access"]]
    assert robot.get(f"{pairs}/{own['access']}").status == 200
    assert robot.get(f"{pairs}/{other['access']}").status == 403
    assert robot.delete(f"{pairs}/{other['access']}").status == 403
    assert robot.post(pairs, {"tenant_id": elsewhere}).status == 403
    path = f"{BASE}/credentials/{seed['id']}"
    assert robot.get(path).status == 403
    assert robot.patch(path, {"credential": {"blob": "mine"}}).status == 403
    assert robot.delete(path).status == 403
    assert robot.post(f"{BASE}/credentials", {"credential": {"type": "totp", "blob": "x"}}).status == 403
    [mine] = [one["id"] for one in robot.get(f"{BASE}/credentials").json["credentials"]]
    assert robot.patch(f"{BASE}/credentials/{mine}", {"credential": {"project_id": elsewhere}}).status == 403


def test_readers_make_no_keys(cloud):
    user = cloud.make_user("watcher", "secret")
    cloud.grant("reader", user=user["id"], project=demo_project(cloud))
    watcher = cloud.as_user("watcher", "secret", project("demo"))
    path = f"{BASE}/users/{user['id']}/credentials/OS-EC2"
    assert watcher.post(path, {"tenant_id": demo_project(cloud)}).status == 403
    assert watcher.get(path).json["credentials"] == []


def test_credentials_go_with_their_project_and_domain(cloud):
    made = cloud.make("projects", "project", name="short")
    body = {"type": "cert", "blob": "x", "project_id": made["id"]}
    cloud.make("credentials", "credential", **body)
    domain = cloud.make("domains", "domain", name="short")
    user = cloud.make_user("guest", "secret", domain_id=domain["id"])
    cloud.make("credentials", "credential", type="totp", blob="x", user_id=user["id"])
    assert cloud.admin.delete(f"{BASE}/projects/{made['id']}").status == 204
    cloud.admin.patch(f"{BASE}/domains/{domain['id']}", {"domain": {"enabled": False}})
    assert cloud.admin.delete(f"{BASE}/domains/{domain['id']}").status == 204
    with cloud.cloud.db.read() as tx:
        assert tx.find(Credential) is None


class Trusting:
    """ann trusts ben with the role reader; what ben makes with the trust is as weak as it."""

    def __init__(self, cloud, *, impersonation):
        self.cloud, self.place = cloud, demo_project(cloud)
        self.ids = {name: cloud.make_user(name, name)["id"] for name in ("ann", "ben")}
        for role in ("member", "reader"):
            cloud.grant(role, user=self.ids["ann"], project=self.place)
        trust = {
            "trustor_user_id": self.ids["ann"],
            "trustee_user_id": self.ids["ben"],
            "project_id": self.place,
            "impersonation": impersonation,
            "roles": [{"name": "reader"}],
        }
        answer = self.ann.post(f"{BASE}/OS-TRUST/trusts", {"trust": trust})
        assert answer.status == 201, answer.text
        self.trust = answer.json["trust"]
        scope = {"OS-TRUST:trust": {"id": self.trust["id"]}}
        self.ben = cloud.as_user("ben", "ben", scope)

    @property
    def ann(self):
        return self.cloud.as_user("ann", "ann", project("demo"))

    def keys(self):
        pair = {"access": "a", "secret": "s"}
        body = {"type": "ec2", "blob": json.dumps(pair), "project_id": self.place}
        answer = self.ben.post(f"{BASE}/credentials", {"credential": body})
        assert answer.status == 201, answer.text
        assert json.loads(answer.json["credential"]["blob"])["trust_id"] == self.trust["id"]
        return pair


@pytest.mark.parametrize("impersonation, name", [(True, "ann"), (False, "ben")])
def test_keys_of_a_trust_have_its_roles(cloud, impersonation, name):
    people = Trusting(cloud, impersonation=impersonation)
    keys = people.keys()
    answer = ask(cloud, simple_request(keys, "2"))
    assert answer.status == 200, answer.text
    token = answer.json["token"]
    assert token["user"]["name"] == name and token["OS-TRUST:trust"]["id"] == people.trust["id"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    people.ann.delete(f"{BASE}/OS-TRUST/trusts/{people.trust['id']}")
    assert ask(cloud, simple_request(keys, "2")).status == 401


def test_keys_of_a_trust_that_came_to_another_user(cloud):
    people = Trusting(cloud, impersonation=True)
    keys = people.keys()
    with cloud.cloud.db.write() as tx:
        tx.update_where(Credential, user_id=people.ids["ben"])
    assert ask(cloud, simple_request(keys, "2")).status == 401
    with cloud.cloud.db.write() as tx:
        tx.update_where(Credential, user_id=people.ids["ann"], project_id="elsewhere")
    assert ask(cloud, simple_request(keys, "2")).status == 401
