# SPDX-License-Identifier: Apache-2.0
"""`openstack endpoint group set --description words GROUP` was refused: the client sends null for name and filters."""

import pytest

from tests.services.identity.conftest import BASE

GROUPS = f"{BASE}/OS-EP-FILTER/endpoint_groups"


def test_what_is_null_stays(cloud):
    made = cloud.make("OS-EP-FILTER/endpoint_groups", "endpoint_group", name="g", filters={"interface": "public"})
    path = f"{GROUPS}/{made['id']}"
    sent = {"name": None, "filters": None, "description": "words"}
    shown = cloud.admin.patch(path, {"endpoint_group": sent}).json["endpoint_group"]
    assert shown == made | {"description": "words"}
    sent = {"name": "h", "filters": None, "description": None}
    shown = cloud.admin.patch(path, {"endpoint_group": sent}).json["endpoint_group"]
    assert shown == made | {"description": "words", "name": "h"}
    assert cloud.admin.patch(path, {"endpoint_group": dict.fromkeys(sent)}).status == 400


@pytest.mark.parametrize("missing", ["name", "filters"])
def test_a_new_group_needs_both(cloud, missing):
    body = {"name": "g", "filters": {"interface": "public"}} | {missing: None}
    assert cloud.admin.post(GROUPS, {"endpoint_group": body}).status == 400
