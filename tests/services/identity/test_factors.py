# SPDX-License-Identifier: Apache-2.0
"""Passcodes, rules about several factors, and the receipts between them."""

from base64 import b32encode
from typing import Any

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.logic import passcodes
from tests.services.identity.conftest import BASE, IdentityCloud

TOKENS = f"{BASE}/auth/tokens"
SEED = b32encode(b"12345678901234567890").decode()
RULES = [["password", "totp"]]


def identity(user_id: str, **secrets: str) -> dict[str, Any]:
    """`password=` and `passcode=` in the order given."""
    methods = {"password": "password", "passcode": "totp"}
    made: dict[str, Any] = {"methods": [methods[name] for name in secrets]}
    for name, secret in secrets.items():
        made[methods[name]] = {"user": {"id": user_id, name: secret}}
    return made


def log_in(cloud, user_id, receipt=None, **secrets):
    headers = {"Openstack-Auth-Receipt": receipt} if receipt else None
    return cloud.client(None).post(TOKENS, {"auth": {"identity": identity(user_id, **secrets)}}, headers=headers)


def now(offset=0):
    return passcodes.passcode(SEED, passcodes.current_step() + offset)


@pytest.fixture
def john(cloud):
    user = cloud.make_user()["id"]
    cloud.make("credentials", "credential", type="totp", blob=SEED, user_id=user)
    return user


@pytest.fixture
def careful(cloud, john):
    """A user who needs both."""
    options = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": RULES}
    assert cloud.admin.patch(f"{BASE}/users/{john}", {"user": {"options": options}}).status == 200
    return john


@pytest.mark.parametrize(("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_passcodes_are_those_of_the_rfc(seconds, code):
    """The last six digits of the test vectors in RFC 6238, appendix B."""
    assert passcodes.passcode(SEED, seconds // 30) == code


@pytest.mark.parametrize("blob", [SEED, SEED.lower(), SEED.rstrip("="), f" {SEED}\n"])
def test_seeds_as_people_copy_them(blob):
    assert passcodes.passcode(blob, 1) == passcodes.passcode(SEED, 1)


def test_passcode(cloud, john):
    answer = log_in(cloud, john, passcode=now())
    assert answer.status == 201 and answer.json["token"]["methods"] == ["totp"]


@pytest.mark.parametrize(("offset", "status"), [(0, 201), (-1, 201), (-2, 401), (1, 401)])
def test_windows(cloud, john, offset, status):
    with clock.frozen(clock.unix()):
        assert log_in(cloud, john, passcode=now(offset)).status == status


def test_more_windows(tmp_path):
    with clock.frozen(), IdentityCloud(tmp_path, included_previous_windows=3) as cloud:
        user = cloud.make_user()["id"]
        cloud.make("credentials", "credential", type="totp", blob=SEED, user_id=user)
        assert log_in(cloud, user, passcode=now(-4)).status == 401
        assert log_in(cloud, user, passcode=now(-3)).status == 201


def test_no_passcode_twice(cloud, john):
    with clock.frozen(clock.unix()) as advance:
        code = now()
        assert log_in(cloud, john, passcode=code).status == 201
        assert log_in(cloud, john, passcode=code).status == 401
        # the one before is used up with it
        assert log_in(cloud, john, passcode=now(-1)).status == 401
        advance(30)
        assert log_in(cloud, john, passcode=code).status == 401
        assert log_in(cloud, john, passcode=now()).status == 201


def test_one_seed_under_two_names_is_one_passcode(cloud, john):
    cloud.make("credentials", "credential", type="totp", blob=SEED.lower(), user_id=john)
    with clock.frozen(clock.unix()):
        assert [log_in(cloud, john, passcode=now()).status for _ in range(3)] == [201, 401, 401]


def test_another_seed_of_the_same_user(cloud, john):
    other = b32encode(b"09876543210987654321").decode()
    cloud.make("credentials", "credential", type="totp", blob=other, user_id=john)
    with clock.frozen(clock.unix()):
        assert log_in(cloud, john, passcode=now()).status == 201
        assert log_in(cloud, john, passcode=passcodes.passcode(other, passcodes.current_step())).status == 201


def test_one_passcode_for_two_at_once(cloud, john):
    with cloud.cloud.db.read() as tx:
        seed = passcodes.seeds_of(tx, john)[0].id
    taken = []
    for _ in range(2):
        with cloud.cloud.db.write() as tx:
            taken.append(passcodes.take(tx, seed, 7))
    assert taken == [True, False]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "\ud83d\ude00" * 3])
def test_what_is_no_passcode(cloud, john, code):
    assert log_in(cloud, john, passcode=code).status == 401


def test_wrong_passcodes(cloud, john):
    other = cloud.make_user("anna")["id"]
    assert log_in(cloud, other, passcode=now()).status == 401  # has no seed
    assert log_in(cloud, "nobody", passcode=now()).status == 401
    cloud.admin.patch(f"{BASE}/users/{john}", {"user": {"enabled": False}})
    assert log_in(cloud, john, passcode=now()).status == 401


def test_malformed_requests(cloud, john):
    for given, word in (({}, "user"), ({"user": {"id": john}}, "passcode")):
        answer = cloud.client(None).post(TOKENS, {"auth": {"identity": {"methods": ["totp"], "totp": given}}})
        assert answer.status == 400 and word in answer.json["error"]["message"]


@pytest.mark.parametrize("blob", ["no base32!", "MFRGG", b32encode(b"too short").decode()])
def test_useless_seeds_do_not_stand_in_the_way(cloud, blob):
    user = cloud.make_user()["id"]
    cloud.make("credentials", "credential", type="totp", blob=blob, user_id=user)
    assert log_in(cloud, user, passcode="000000").status == 401
    cloud.make("credentials", "credential", type="totp", blob=SEED, user_id=user)
    assert log_in(cloud, user, passcode=now()).status == 201


def test_a_credential_that_is_gone_gives_no_passcodes(cloud, john):
    credential = cloud.admin.get(f"{BASE}/credentials?user_id={john}&type=totp").json["credentials"][0]["id"]
    assert cloud.admin.delete(f"{BASE}/credentials/{credential}").status == 204
    assert log_in(cloud, john, passcode=now()).status == 401


def test_both_at_once(cloud, careful):
    answer = log_in(cloud, careful, password="secret", passcode=now())
    assert answer.status == 201 and set(answer.json["token"]["methods"]) == {"password", "totp"}
    assert log_in(cloud, careful, password="wrong", passcode=now()).status == 401


def test_one_after_the_other(cloud, careful):
    first = log_in(cloud, careful, password="secret")
    assert first.status == 401
    assert first.json["required_auth_methods"] == RULES
    receipt = first.json["receipt"]
    assert receipt["methods"] == ["password"] and receipt["expires_at"].endswith("Z")
    assert receipt["user"] == {"id": careful, "name": "john", "domain": {"id": "default", "name": "Default"}}
    sealed = first.headers["openstack-auth-receipt"]
    second = log_in(cloud, careful, sealed, passcode=now())
    assert second.status == 201 and set(second.json["token"]["methods"]) == {"password", "totp"}


def test_the_other_way_round(cloud, careful):
    sealed = log_in(cloud, careful, passcode=now()).headers["openstack-auth-receipt"]
    assert log_in(cloud, careful, sealed, password="secret").status == 201


def test_a_token_of_two_factors_is_good_for_other_scopes(cloud, careful):
    token = log_in(cloud, careful, password="secret", passcode=now()).headers["x-subject-token"]
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": "unscoped"}
    answer = cloud.client(None).post(TOKENS, {"auth": auth})
    assert answer.status == 201 and set(answer.json["token"]["methods"]) == {"password", "totp", "token"}


def test_a_receipt_is_not_enough(cloud, careful):
    sealed = log_in(cloud, careful, password="secret").headers["openstack-auth-receipt"]
    again = log_in(cloud, careful, sealed, password="secret")
    assert again.status == 401 and again.json["receipt"]["methods"] == ["password"]
    assert log_in(cloud, careful, sealed, passcode="000000").status == 401
    assert cloud.client(None).post(TOKENS, {"auth": {"identity": {"methods": []}}}).status == 401


def test_a_receipt_is_no_token_and_a_token_no_receipt(cloud, careful):
    sealed = log_in(cloud, careful, password="secret").headers["openstack-auth-receipt"]
    assert cloud.client(sealed).get(f"{BASE}/auth/projects").status == 401
    auth = {"identity": {"methods": ["token"], "token": {"id": sealed}}}
    assert cloud.client(None).post(TOKENS, {"auth": auth}).status == 404
    token = log_in(cloud, careful, password="secret", passcode=now(-1)).headers["x-subject-token"]
    answer = log_in(cloud, careful, token, password="secret")
    assert answer.status == 401 and "receipt" not in answer.json


def test_receipts_are_short(cloud, careful):
    with clock.frozen(clock.unix()) as advance:
        sealed = log_in(cloud, careful, password="secret").headers["openstack-auth-receipt"]
        advance(301)
        assert log_in(cloud, careful, sealed, passcode=now()).status == 401


def test_a_receipt_ends_with_the_password(cloud, careful):
    sealed = log_in(cloud, careful, password="secret").headers["openstack-auth-receipt"]
    cloud.admin.patch(f"{BASE}/users/{careful}", {"user": {"password": "other"}})
    assert log_in(cloud, careful, sealed, passcode=now()).status == 401
    assert log_in(cloud, careful, password="other", passcode=now(-1)).status == 401  # that passcode's step was passed
    cloud.admin.patch(f"{BASE}/users/{careful}", {"user": {"enabled": False}})
    assert log_in(cloud, careful, sealed, passcode=now()).status == 401


def test_a_receipt_is_for_its_own_user(cloud, careful):
    options = {"multi_factor_auth_rules": RULES}
    anna = cloud.make_user("anna", options=options)["id"]
    cloud.make("credentials", "credential", type="totp", blob=SEED, user_id=anna)
    sealed = log_in(cloud, careful, password="secret").headers["openstack-auth-receipt"]
    answer = log_in(cloud, anna, sealed, passcode=now())
    assert answer.status == 401 and "receipt" not in answer.json


@pytest.mark.parametrize("receipt", ["nonsense", "x" * 5000, "gAAAAA" + "A" * 100])
def test_made_up_receipts(cloud, careful, receipt):
    answer = log_in(cloud, careful, receipt, passcode=now())
    assert answer.status == 401 and "receipt" not in answer.json


def test_what_was_wrong_gets_no_receipt(cloud, careful):
    answer = log_in(cloud, careful, password="wrong")
    assert answer.status == 401 and "openstack-auth-receipt" not in answer.headers


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"multi_factor_auth_rules": RULES}, 401),  # enabled unless somebody says no
        ({"multi_factor_auth_rules": RULES, "multi_factor_auth_enabled": False}, 201),
        ({"multi_factor_auth_rules": [["password", "magic"]]}, 201),  # what the cloud does not know is left out
        ({"multi_factor_auth_rules": [["magic"]]}, 201),  # nobody is locked out by a typing error
        ({"multi_factor_auth_rules": [["magic"], ["password", "totp"]]}, 401),
        ({"multi_factor_auth_rules": [["totp"], ["password"]]}, 201),
        ({"multi_factor_auth_rules": [["totp"]]}, 401),
        ({"multi_factor_auth_enabled": True}, 201),
        ({"multi_factor_auth_rules": []}, 201),
    ],
)
def test_rules(cloud, options, status):
    user = cloud.make_user(options=options)["id"]
    assert log_in(cloud, user, password="secret").status == status


@pytest.mark.parametrize("rules", ["password", ["password"], [[]], [["a", "a"]], [["a"], ["a"]], [[1]], [["x" * 65]]])
def test_refused_rules(cloud, rules):
    members = {"name": "john", "options": {"multi_factor_auth_rules": rules}}
    assert cloud.admin.post(f"{BASE}/users", {"user": members}).status == 400


def test_only_rules_that_were_begun_are_told(cloud):
    user = cloud.make_user(options={"multi_factor_auth_rules": [["totp"], ["password", "external"]]})["id"]
    assert log_in(cloud, user, password="secret").json["required_auth_methods"] == [["external", "password"]]
    nothing = cloud.make_user("anna", options={"multi_factor_auth_rules": [["totp"]]})["id"]
    assert log_in(cloud, nothing, password="secret").json["required_auth_methods"] == []
