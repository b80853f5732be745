# SPDX-License-Identifier: Apache-2.0
"""After a policy file was read again only its own rules were left: every other operation answered 500."""

from altostratus.kernel import policy as module
from altostratus.kernel.auth import Context
from altostratus.kernel.policy import Policy, Rule


def test_default_rules_are_there_after_a_reload(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_RELOAD_EVERY_S", 0.0)
    path = tmp_path / "toys.yaml"
    rules = (Rule("toy:make", "role:member", "Make."), Rule("toy:break", "role:admin", "Break."))
    policy = Policy(rules, [path])
    path.write_text('"toy:make": "role:reader"\n')
    assert policy.allows("toy:make", Context(user_id="u", roles=frozenset({"reader"}), project_id="p"))
    assert policy.allows("toy:break", Context(user_id="a", roles=frozenset({"admin"}), project_id="p"))
