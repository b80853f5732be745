# SPDX-License-Identifier: Apache-2.0
"""Nothing that a stranger writes gets out of its place in a filter or in a name."""

import re

from hypothesis import given
from hypothesis import strategies as some
from ldap3.operation.search import parse_filter
from ldap3.utils.dn import parse_dn

from altostratus.services.identity.directory import escaping
from altostratus.services.identity.directory.contract import Condition

NASTY = some.text(some.sampled_from('*()\\\0=,+"<>;#/ &|!~:é\ud800a1')) | some.text()


def bytes_of(escaped: str) -> bytes:
    """What a server reads: RFC 4515 and RFC 4514 mean the same by a backslash and two digits."""
    return re.sub(rb"\\([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), escaped.encode())


@given(NASTY)
def test_only_letters_digits_and_backslashes_are_written_and_they_mean_the_text(text: str) -> None:
    written = escaping.escaped(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{2})*", written)
    assert bytes_of(written) == text.encode(errors="replace")


@given(NASTY)
def test_a_filter_stays_one_comparison(text: str) -> None:
    parsed = parse_filter(escaping.equals("uid", text or "x"), None, False, True, None, False)
    [comparison] = parsed.elements
    assert (not comparison.elements and comparison.assertion["attr"] == b"uid") or comparison.assertion["attr"] == "uid"


@given(NASTY, some.sampled_from(["equals", "contains", "startswith", "endswith"]))
def test_a_search_stays_one_comparison(text: str, how: str) -> None:
    written = escaping.matches("uid", Condition("name", how, text))
    assert written.startswith("(uid=") and written.count("(") == written.count(")") == 1
    assert written.count("*") <= 2 and (how != "equals" or not text or "*" not in written)


@given(NASTY)
def test_a_name_stays_one_step_below_the_tree(text: str) -> None:
    parts = parse_dn(escaping.named("uid", text or "x", "ou=people,dc=example"))
    assert [attribute for attribute, _, _ in parts] == ["uid", "ou", "dc"]
