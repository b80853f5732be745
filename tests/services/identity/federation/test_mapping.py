# SPDX-License-Identifier: Apache-2.0
"""The mapping engine by itself: upstream's examples, and what must hold for every assertion."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from altostratus.services.identity.federation.mapping import GroupName, MappingError, apply_mapping

EMAIL = {"type": "Email"}
ACME = (("id", "acme"),)


def run(rules, assertion, version="1.0"):
    return apply_mapping(rules, version, assertion)


def one(local, *remote):
    return [{"local": local if isinstance(local, list) else [local], "remote": list(remote)}]


def test_direct_maps_are_put_in():
    mapped = run(
        one(
            {"user": {"name": "{0} {1}", "email": "{2}"}, "group": {"id": "0cd5e9"}},
            {"type": "First"},
            {"type": "orgType", "not_any_of": ["Contractor"]},
            {"type": "Last"},
            EMAIL,
        ),
        {"First": ["Jane"], "Last": ["Doe"], "Email": ["jane@example.com"], "orgType": ["Employee"]},
    )
    assert mapped.user == {"name": "Jane Doe", "email": "jane@example.com", "type": "ephemeral"}
    assert mapped.group_ids == ("0cd5e9",)


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({"any_one_of": ["a", "z"]}, True),
        ({"any_one_of": ["z"]}, False),
        ({"any_one_of": []}, False),
        ({"not_any_of": ["z"]}, True),
        ({"not_any_of": ["z", "b"]}, False),
        ({"any_one_of": ["^b$"], "regex": True}, True),
        ({"any_one_of": ["^b$"]}, False),
        ({"not_any_of": ["[ab]"], "regex": True}, False),
        ({"whitelist": ["z"]}, True),
        ({"blacklist": ["a", "b"]}, True),
    ],
)
def test_conditions(condition, applies):
    rules = one({"user": {"name": "x"}}, {"type": "kind", **condition})
    if applies:
        assert run(rules, {"kind": ["a", "b"]}).user["name"] == "x"
    else:
        with pytest.raises(MappingError):
            run(rules, {"kind": ["a", "b"]})


def test_a_missing_attribute_fails_even_a_negative_condition():
    with pytest.raises(MappingError):
        run(one({"user": {"name": "x"}}, {"type": "kind", "not_any_of": ["a"]}), {})


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ({}, ["Devs", "Ops", "Finance"]),
        ({"whitelist": ["Ops", "Devs", "Nobody"]}, ["Devs", "Ops"]),
        ({"blacklist": ["Finance"]}, ["Devs", "Ops"]),
        ({"whitelist": ["s$"], "regex": True}, ["Devs", "Ops"]),
        ({"blacklist": ["^O"], "regex": True}, ["Devs", "Finance"]),
        ({"whitelist": []}, []),
    ],
)
def test_groups_of_a_list(condition, names):
    local = [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "acme"}}]
    mapped = run(
        one(local, EMAIL, {"type": "Groups", **condition}), {"Email": ["j"], "Groups": ["Devs", "Ops", "Finance"]}
    )
    assert mapped.group_names == tuple(GroupName(name, ACME) for name in names)


def test_a_written_list_of_groups_and_of_ids():
    local = {"user": {"name": "{0}"}, "groups": "['a', 'b']", "group_ids": "['1', '2']", "domain": {"id": "acme"}}
    mapped = run(one(local, EMAIL), {"Email": ["j"]})
    assert [group.name for group in mapped.group_names] == ["a", "b"]
    assert mapped.group_ids == ("1", "2")


def test_a_group_by_name_takes_every_value():
    local = {"user": {"name": "{0}"}, "group": {"name": "x-{1}", "domain": {"name": "Acme"}}}
    mapped = run(one(local, EMAIL, {"type": "Groups"}), {"Email": ["j"], "Groups": ["a", "b"]})
    assert [group.name for group in mapped.group_names] == ["x-a", "x-b"]


def test_rules_add_up_and_the_first_user_wins():
    rules = [
        *one({"user": {"name": "first"}, "group": {"id": "1"}}, EMAIL),
        *one({"user": {"name": "second"}, "group": {"id": "2"}}, EMAIL),
        *one({"group": {"id": "3"}}, {"type": "Email", "any_one_of": ["nobody"]}),
    ]
    mapped = run(rules, {"Email": ["j"]})
    assert mapped.user["name"] == "first" and mapped.group_ids == ("1", "2")


def test_several_values_are_no_name():
    with pytest.raises(MappingError):
        run(one({"user": {"name": "{0}"}}, EMAIL), {"Email": ["a", "b"]})


def test_groups_of_other_clouds_bring_their_domain_only_where_the_rule_gives_none():
    assertion = {"Email": ["j"], "Groups": ['JSON:{"name": "g", "domain": {"name": "Default"}}']}
    mapped = run(one({"user": {"name": "{0}"}, "groups": "{1}"}, EMAIL, {"type": "Groups"}), assertion)
    assert mapped.group_names == (GroupName("g", (("name", "Default"),)),)
    local = {"user": {"name": "{0}"}, "groups": "{1}", "domain": {"id": "acme"}}
    mapped = run(one(local, EMAIL, {"type": "Groups"}), assertion)
    assert mapped.group_names == (GroupName(assertion["Groups"][0], ACME),)
    for wrong in ("g", "JSON:", "JSON:{}", 'JSON:{"name": "g"}', 'JSON:{"name": "g", "domain": "x"}'):
        with pytest.raises(MappingError):
            run(
                one({"user": {"name": "{0}"}, "groups": "{1}"}, EMAIL, {"type": "Groups"}),
                {**assertion, "Groups": [wrong]},
            )


def test_the_domain_of_schema_2_counts_for_user_and_projects():
    rules = one(
        {"user": {"name": "{0}"}, "projects": [{"name": "p", "roles": [{"name": "member"}]}], "domain": {"id": "acme"}},
        EMAIL,
    )
    old, new = run(rules, {"Email": ["j"]}), run(rules, {"Email": ["j"]}, "2.0")
    assert "domain" not in old.user and old.projects[0].domain is None
    assert new.user["domain"] == {"id": "acme"} and new.projects[0].domain == {"id": "acme"}
    assert new.projects[0].roles == ("member",)


def test_a_pattern_made_to_hang_does_not():
    rules = one({"user": {"name": "x"}}, {"type": "Email", "any_one_of": ["^(a+)+$", "(x+x+)+y"], "regex": True})
    began = time.monotonic()
    with pytest.raises(MappingError):
        run(rules, {"Email": ["a" * 50_000 + "!", "x" * 50_000]})
    assert time.monotonic() - began < 5


# what holds for everything that an identity provider may send

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["{0}", "{1}", "['admins']", "a;admins", 'JSON:{"name":"admins","domain":{"id":"acme"}}', "{{0}}", "{"]
    ),
)
WHITELIST = one(
    [{"user": {"name": "{0}"}}, {"groups": "{1}", "group_ids": "{2}", "domain": {"id": "acme"}}],
    EMAIL,
    {"type": "Groups", "whitelist": ["devs", "ops"]},
    {"type": "Ids"},
)


@given(st.lists(texts, min_size=1), st.lists(texts, min_size=1), texts)
def test_only_whitelisted_groups_come_out_and_values_stay_whole(groups, ids, name):
    mapped = run(WHITELIST, {"Email": [name], "Groups": groups, "Ids": ids})
    assert {group.name for group in mapped.group_names} == {"devs", "ops"} & set(groups)
    assert {group.domain for group in mapped.group_names} <= {ACME}
    assert set(mapped.group_ids) == set(ids)
    assert mapped.user["name"] == name
    assert mapped.projects == ()


@given(st.lists(texts, min_size=1, max_size=6), st.randoms())
def test_the_order_of_values_does_not_matter(groups, random):
    assertion = {"Email": ["j"], "Groups": groups, "Ids": ["1"]}
    mixed = list(groups)
    random.shuffle(mixed)
    first, second = run(WHITELIST, assertion), run(WHITELIST, {**assertion, "Groups": mixed})
    assert set(first.group_names) == set(second.group_names) and first.user == second.user


@given(st.dictionaries(st.sampled_from(["Email", "Groups", "Ids"]), st.lists(texts, max_size=3)))
def test_nothing_but_a_mapping_error_ever_comes_of_an_assertion(assertion):
    try:
        mapped = run(WHITELIST, assertion)
    except MappingError:
        return
    assert all(assertion.get(name) for name in ("Email", "Groups", "Ids"))
    assert mapped.user["type"] == "ephemeral"
