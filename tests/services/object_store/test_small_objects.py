# SPDX-License-Identifier: Apache-2.0
"""What a small object costs: nothing but what tells who may read it and where it is."""

from altostratus.kernel.db import counting_queries


def test_reading_one_takes_two_statements(swift):
    swift.put("c")
    swift.put("c/o", b"small")
    swift("GET", "c/o")  # the token is known from here on
    with counting_queries() as seen:
        assert swift("GET", "c/o").content == b"small"
    assert len(seen) == 2 and all(statement.startswith("SELECT") for statement in seen)


def test_an_empty_one_and_its_length(swift):
    swift.put("c")
    swift.put("c/empty")
    got = swift("GET", "c/empty")
    assert (got.status, got.content, got.headers["content-length"]) == (200, b"", "0")
