# SPDX-License-Identifier: Apache-2.0
"""Every operation of every service: without a token, with a forged one, and under a policy that refuses all.

What the default policy allows to whom stands in docs/permissions.md, which must be fresh.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.kernel.policy_checks import OwnThings
from altostratus.testing.personas import EVERYBODY, PersonaAuthenticator
from tests.matrix.whole import EVERY_OPERATION, body_of, headers_of, make_cloud, name_of, path_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with make_cloud(tmp_path_factory.mktemp("matrix")) as made:
        yield made


def ask(cloud, entry, token):
    service, op = entry
    client = cloud.client(token, **{name.replace("-", "_"): value for name, value in headers_of(service, op).items()})
    return client.request(op.method, path_of(service, op), body_of(op))


def test_without_a_token_nothing_is_told(cloud):
    wrong = {}
    for entry in EVERY_OPERATION:
        if entry[1].public:
            continue
        for token in (None, "forged"):
            status = ask(cloud, entry, token).status
            if status != 401:
                wrong[name_of(entry), token] = status
    assert not wrong


def test_a_policy_that_refuses_all_is_asked_by_every_operation(cloud, monkeypatch):
    for service in cloud.cloud.all_services():
        monkeypatch.setattr(cloud.cloud.policy(service.type), "allows", lambda *_: False)
    allowed = {}
    for entry in EVERY_OPERATION:
        if entry[1].public or entry[1].rule is None:
            continue
        status = ask(cloud, entry, "admin").status
        if status < 400:
            allowed[name_of(entry)] = status
    assert not allowed


@pytest.mark.parametrize("persona", EVERYBODY)
def test_what_the_policy_refuses_somebody_even_for_own_things_is_refused(cloud, persona):
    """Asked over HTTP, as each column of docs/permissions.md: no handler is more generous than its rule."""
    token = EVERYBODY[persona]
    context = PersonaAuthenticator().authenticate(token)
    allowed = {}
    for service, op in EVERY_OPERATION:
        if op.public or op.rule is None:
            continue
        if cloud.cloud.policy(service.type).allows(op.rule, context, OwnThings(context)):
            continue
        status = ask(cloud, (service, op), token).status
        if status < 400:
            allowed[name_of((service, op))] = status
    assert not allowed


def test_a_domain_s_administrator_is_nobody_s_elsewhere(cloud):
    """The role admin in a token of a domain opens no more in other services than the manager's of that domain."""
    admin = PersonaAuthenticator().authenticate("admin@domain")
    manager = admin.with_roles(frozenset({"manager", "member", "reader"}))
    more = {}
    for service in cloud.cloud.all_services():
        policy = cloud.cloud.policy(service.type)
        for rule in policy.declared if service.type != "identity" else ():
            for target in (OwnThings(admin), {"project_id": "foreign", "tenant_id": "foreign", "user_id": "foreign"}):
                if policy.allows(rule, admin, target) and not policy.allows(rule, manager, target):
                    more[service.type, rule] = target
    assert not more


def test_no_operation_breaks_on_ids_that_exist_nowhere(cloud):
    broken = {}
    for entry in EVERY_OPERATION:
        for token in ("member", "admin"):
            answer = ask(cloud, entry, token)
            if answer.status >= 500 and answer.status not in (501, 503):
                broken[name_of(entry), token] = answer.text[:300]
    assert not broken


def test_every_operation_answers_at_its_oldest_version(cloud):
    broken = {}
    for entry in EVERY_OPERATION:
        service, op = entry
        if op.method != "GET":
            continue
        headers = headers_of(service, op, newest=False)
        client = cloud.client("admin", **{name.replace("-", "_"): value for name, value in headers.items()})
        answer = client.get(path_of(service, op))
        if answer.status >= 500 and answer.status not in (501, 503):
            broken[name_of(entry)] = answer.text[:300]
    assert not broken


def test_the_page_of_permissions_is_fresh():
    script = ROOT / "tools" / "generate" / "permissions.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
