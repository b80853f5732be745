# SPDX-License-Identifier: Apache-2.0
"""A member's token of a domain made images that belonged to no project: nobody is not the owner of nothing."""

import pytest

from altostratus.testing.cloud import TestCloud
from tests.matrix.whole import make_cloud


@pytest.fixture
def cloud(tmp_path):
    with make_cloud(tmp_path) as made:
        yield made


@pytest.mark.parametrize("token", ["member@domain", "admin@domain", "nobody@unscoped"])
def test_a_token_without_a_project_makes_no_image(cloud: TestCloud, token):
    made = cloud.client(token).post("/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"})
    assert made.status == 403


def test_an_administrator_of_the_whole_system_may(cloud: TestCloud):
    made = cloud.client("admin@system").post("/image/v2/images", {"name": "i", "owner": cloud.project_id("blue")})
    assert made.status == 201
