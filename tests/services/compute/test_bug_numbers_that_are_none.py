# SPDX-License-Identifier: Apache-2.0
"""`²` is a digit for Python and no number, and one of 5000 digits is not read: both were answered with 500."""

import pytest


@pytest.mark.parametrize("path", ["/os-server-groups?limit=%C2%B2", "/os-server-groups?offset=%C2%B2"])
def test_of_server_groups(member, path):
    assert member.get(path).status == 400


@pytest.mark.parametrize("path", ["/os-server-groups?limit=", "/os-server-groups?offset="])
def test_long_ones_of_server_groups(member, path):
    assert member.get(path + "9" * 5000).status == 200


def test_of_usage(admin):
    assert admin.get("/os-simple-tenant-usage?limit=%C2%B2", version="2.40").status == 400
    assert admin.get("/os-simple-tenant-usage?limit=" + "9" * 5000, version="2.40").status == 200


def test_of_aggregates(admin):
    assert admin.get("/os-aggregates/%C2%B2").status == 404
