# SPDX-License-Identifier: Apache-2.0
"""What is decided without oslo.policy's overhead is what oslo.policy decides."""

from typing import Any

import pytest
from oslo_policy import _parser

from altostratus.kernel.policy_eval import Evaluator

CREDENTIALS = {
    "user_id": "u1",
    "is_admin": True,
    "project_id": None,
    "token": {"project": {"domain": {"id": "d1"}}},
    "groups": [{"id": "g1"}, {"id": "g2"}],
    "roles": ["member"],
}
TARGET = {"user_id": "u1", "project_id": "p1", "domain": "d1", "group": "g2", "none": None, "kind": "own"}


@pytest.mark.parametrize("rule", [
    "user_id:%(user_id)s", "user_id:%(project_id)s", "user_id:%(missing)s", "user_id:u1", "user_id:u2",
    "missing:%(user_id)s", "project_id:%(none)s", "is_admin:True", "is_admin:False", "True:%(kind)s",
    "'own':%(kind)s", "'other':%(kind)s", "7:7", "None:%(none)s", "token.project.domain.id:%(domain)s",
    "token.domain.id:%(domain)s", "groups.id:%(group)s", "groups.id:%(user_id)s", "not user_id:%(user_id)s",
    "role:member and user_id:%(user_id)s",
])  # fmt: skip
def test_the_same_as_upstream(rule):
    check: Any = _parser.parse_rule(rule)
    decided = Evaluator({"rule": check}, None).decide("rule", TARGET, CREDENTIALS)
    assert decided == bool(check(TARGET, CREDENTIALS, None, "rule"))
