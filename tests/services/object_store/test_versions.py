# SPDX-License-Identifier: Apache-2.0
"""Containers that keep what is replaced or deleted."""

import pytest

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def stack(swift):
    swift.put("old")
    swift.put("c", X_Versions_Location="old")
    return swift


@pytest.fixture
def history(swift):
    swift.put("old")
    swift.put("c", X_History_Location="old")
    return swift


def test_a_stack(stack):
    for data in (b"1", b"22", b"333"):
        stack.put("c/o", data, X_Object_Meta_Size=str(len(data)))
    kept = stack.names("old")
    assert len(kept) == 2 and all(name.startswith("001o/") for name in kept)
    assert stack("GET", f"old/{kept[0]}").content == b"1"
    assert stack("HEAD", "c").headers["x-versions-location"] == "old"
    for data in (b"22", b"1"):
        assert stack("DELETE", "c/o").status == 204
        got = stack("GET", "c/o")
        assert got.content == data and got.headers["x-object-meta-size"] == str(len(data))
    assert stack("DELETE", "c/o").status == 204
    assert stack("GET", "c/o").status == 404 and stack.names("old") == []


def test_names_do_not_mix(stack):
    for name in ("o", "o/1", "oo"):
        stack.put(f"c/{name}", b"first " + name.encode())
        stack.put(f"c/{name}", b"second")
    stack("DELETE", "c/o")
    assert stack("GET", "c/o").content == b"first o"
    assert stack("GET", "c/o/1").content == stack("GET", "c/oo").content == b"second"


def test_a_history(history):
    history.put("c/o", b"1")
    history.put("c/o", b"22")
    assert history("DELETE", "c/o").status == 204
    assert history("GET", "c/o").status == 404
    kept = history.names("old")
    assert [history("GET", f"old/{name}").content for name in kept] == [b"1", b"22", b""]
    last = history("HEAD", f"old/{kept[-1]}").headers
    assert last["content-type"].startswith("application/x-deleted")
    history.put("c/o", b"again")
    assert len(history.names("old")) == 3


def test_settings(stack):
    stack("POST", "c", X_History_Location="old")
    head = stack("HEAD", "c").headers
    assert head["x-history-location"] == "old" and "x-versions-location" not in head
    assert stack("POST", "c", X_History_Location="old", X_Versions_Location="old").status == 400
    assert stack("POST", "c", X_Versions_Location="a/b").status == 400
    stack("POST", "c", X_Remove_Versions_Location="x")
    assert not any("location" in name for name in stack("HEAD", "c").headers)
    stack.put("c/o", b"1")
    stack.put("c/o", b"2")
    assert stack.names("old") == []


def test_without_its_keeper_nothing_is_lost(stack):
    stack.put("c/o", b"1")
    assert stack("DELETE", "old").status == 204
    for method in ("PUT", "DELETE"):
        refused = stack(method, "c/o", b"2")
        assert refused.status == 412 and b"old" in refused.content
    assert stack("GET", "c/o").content == b"1"


def test_versions_of_the_same_moment_are_two(stack, monkeypatch):
    monkeypatch.setattr("altostratus.kernel.clock.unix", lambda: 1_900_000_000.0)
    for data in (b"1", b"22", b"333"):
        stack.put("c/o", data)
    assert [stack("GET", f"old/{name}").content for name in stack.names("old")] == [b"1", b"22"]
