# SPDX-License-Identifier: Apache-2.0
"""Operators' policy files: which one wins, what happens when they change, and when they are broken."""

import json
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from altostratus.kernel import policy as module
from altostratus.kernel.auth import Context
from altostratus.kernel.errors import PolicyRefused
from altostratus.kernel.policy import Policy, Rule
from altostratus.kernel.policy_files import PolicyFileError

RULES = (
    Rule("toy:make", "rule:project_member_or_admin", "Make a toy."),
    Rule("toy:break", "rule:context_is_admin", "Break a toy."),
    Rule("toy:count", "role:reader and system_scope:all", "Count toys.", scopes=("system",)),
)
MEMBER = Context(user_id="u", roles=frozenset({"member", "reader"}), project_id="own")
READER = Context(user_id="u", roles=frozenset({"reader"}), project_id="own")
ADMIN = Context(user_id="a", roles=frozenset({"admin"}), project_id="other")
NOBODY = Context(user_id="n")
OWN = {"project_id": "own"}


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(module, "_RELOAD_EVERY_S", 0.0)


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "policy.json", tmp_path / "toys.yaml"


def test_yaml_and_json_are_read_and_the_last_file_wins(paths):
    paths[0].write_text('{"toy:make": "role:admin", "toy:break": "role:reader"}')
    paths[1].write_text('"toy:make": "role:reader"\n')
    policy = Policy(RULES, paths)
    assert policy.allows("toy:make", READER, OWN)
    assert policy.allows("toy:break", READER, OWN)
    assert policy.overrides() == {"toy:make": paths[1], "toy:break": paths[0]}
    assert policy.origin("toy:count") is None


def test_the_old_lists_of_lists_are_read_too(paths):
    paths[0].write_text('{"toy:make": [["role:admin"], ["role:reader"]]}')
    policy = Policy(RULES, paths)
    assert policy.describe("toy:make") == "(role:admin or role:reader)"


def test_a_file_that_appears_changes_and_goes_is_followed(paths):
    policy = Policy(RULES, paths)
    assert policy.allows("toy:make", MEMBER, OWN)
    paths[1].write_text('"toy:make": "rule:context_is_admin"\n')
    assert not policy.allows("toy:make", MEMBER, OWN)
    paths[1].write_text('"toy:make": "role:reader"   # everybody\n')
    assert policy.allows("toy:make", READER, OWN)
    paths[1].unlink()
    assert policy.allows("toy:make", MEMBER, OWN) and not policy.allows("toy:make", READER, OWN)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"toy:make": "role:admin"', ", line 1, column 26: expected"),
        ('"toy:make": "role:admin"\n  wrong', ", line 2, column 3: expected"),
        ('"toy:make": "role:admin and"\n', "rule 'toy:make': 'role:admin and' is not in the policy language"),
        ('"toy:make": [["role:admin"], 7]\n', "rule 'toy:make'"),
        ('"toy:make": {"role": "admin"}\n', "must be a string in quotation marks"),
        ("- toy:make\n", "must be a mapping"),
        ('"toy:make": "rule:nothing"\n', "there is no rule 'nothing'"),
        ('"toy:make": "rule:toy:break"\n"toy:break": "not rule:toy:make"\n', "it leads back to itself"),
        (b"\xff\xfe", "decode"),
    ],
)
def test_of_a_broken_file_the_rules_of_before_stay_and_the_place_is_told(paths, caplog, content, place):
    paths[1].write_text('"toy:make": "rule:context_is_admin"\n')
    policy = Policy(RULES, paths)
    paths[1].write_bytes(content if isinstance(content, bytes) else content.encode())
    with caplog.at_level(logging.ERROR):
        assert not policy.allows("toy:make", MEMBER, OWN)
    assert policy.allows("toy:make", ADMIN, OWN)
    assert len(policy.problems) >= 1
    assert str(paths[1]) in policy.problems[0] and place in policy.problems[0]
    assert policy.problems[0] in caplog.text
    paths[1].write_text('"toy:make": "role:member"\n')
    assert policy.allows("toy:make", MEMBER, OWN)
    assert policy.problems == ()


def test_a_cloud_does_not_start_with_a_broken_file(paths):
    paths[0].write_text("{")
    with pytest.raises(PolicyFileError, match=r"policy\.json"):
        Policy(RULES, paths)


def test_a_folder_that_may_not_be_looked_into_is_passed_over(paths, monkeypatch, caplog):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert Policy(RULES, paths).paths == []
    assert f"policy files in {paths[0].parent} are not used" in caplog.text


def test_names_that_nobody_asks_for_are_known(paths):
    paths[0].write_text('{"toy:mkae": "role:admin", "mine": "role:reader", "toy:make": "rule:mine"}')
    assert Policy(RULES, paths).unused() == {"toy:mkae"}


# what whoever is refused is told


def advice(policy, rule, context, target=OWN):
    with pytest.raises(PolicyRefused) as refused:
        policy.demand(rule, context, target)
    assert refused.value.message.startswith(f"Policy doesn't allow {rule} to be performed. ")
    return refused.value.advice


def test_a_refusal_names_the_least_powerful_role_that_would_do():
    policy = Policy(RULES)
    assert advice(policy, "toy:make", READER) == "The role member would allow it."
    assert advice(policy, "toy:break", MEMBER) == "The role admin would allow it."


def test_a_refusal_says_what_kind_of_token_it_takes():
    assert (
        advice(Policy(RULES), "toy:count", MEMBER)
        == "It takes a token with the scope system; this one is of a project."
    )
    assert advice(Policy(RULES), "toy:make", NOBODY) == "This token has no scope: ask for one of a project."


def test_a_refusal_is_the_same_for_what_is_another_s_and_what_is_nowhere():
    policy = Policy(RULES)
    words = {advice(policy, "toy:make", MEMBER, target) for target in ({"project_id": "foreign"}, {})}
    assert words == {"Your roles allow it only for what is your own."}


def test_a_rule_for_nobody_says_so(paths):
    paths[0].write_text('{"toy:make": "!"}')
    assert advice(Policy(RULES, paths), "toy:make", ADMIN) == "No role would allow it to you."


WORDS = (
    "role:admin",
    "rule:toy:make",
    "and",
    "or",
    "not",
    "(",
    ")",
    "!",
    "@",
    "user_id:%(user_id)s",
    "'x':%(y)s",
    ":",
    "",
)


@settings(max_examples=200, deadline=None)
@given(strategies.lists(strategies.sampled_from(WORDS), max_size=8).map(" ".join) | strategies.text(max_size=30))
def test_whatever_stands_in_a_file_is_read_or_refused_with_its_place(text):
    """Nothing that an operator writes breaks the service, and nothing is quietly turned into a refusal of everybody."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "toys.json"
        path.write_text(json.dumps({"toy:make": text}))
        policy, problems = None, tuple[str, ...]()
        try:
            policy = Policy(RULES, [path])
        except PolicyFileError as error:
            problems = error.problems
        if policy is None:
            assert str(path) in problems[0]
            return
        for context in (MEMBER, NOBODY, ADMIN):
            assert policy.allows("toy:make", context, OWN) in (True, False)
            assert policy.advice("toy:make", context)
        assert text.strip() == "!" or policy.describe("toy:make") != "!"
