# SPDX-License-Identifier: Apache-2.0
"""A Deny in a bucket's policy has the last word by Swift too, over whatever else opens a container."""

import pytest

from altostratus.services.object_store.logic import containers
from tests.services.object_store import test_container_sync as peers
from tests.services.object_store import test_forms as forms
from tests.services.object_store import test_temp_urls as addresses
from tests.services.object_store.policy_texts import policy, statement

pytestmark = pytest.mark.usefixtures("nothing_left")
clouds, one, two, wires = peers.clouds, peers.one, peers.two, peers.wires


def set_policy(swift, *statements):
    """Of the container open."""
    with swift.cloud.cloud.db.write() as tx:
        row = containers.find(tx, swift.base.rpartition("/")[2], "open")
        assert row is not None
        containers.set_s3(tx, row, policy=policy(*statements))


@pytest.fixture(autouse=True)
def filled(swift):
    swift.put("open")
    swift.put("open/o", b"data")
    swift("POST", "", X_Account_Meta_Temp_URL_Key=forms.KEY)


def test_temporary_addresses(swift, anybody):
    signed = addresses.address(swift, "open/o", key=forms.KEY)
    assert anybody("GET", signed).content == b"data"
    set_policy(swift, statement("Deny", action="s3:GetObject"))
    assert anybody("GET", signed).status == 401


def test_forms(swift, anybody):
    set_policy(swift, statement("Deny", action="s3:PutObject", resource="arn:aws:s3:::open/p-*"))
    assert forms.post(anybody, forms.form(swift, "open/p-"), "open/p-").status == 401
    assert forms.post(anybody, forms.form(swift, "open/q-"), "open/q-").status == 201
    assert swift.names("open") == ["o", "q-f.txt"]


def test_peers(two):
    two("PUT", "open", X_Container_Sync_Key="of users")
    set_policy(two, statement("Deny", action="s3:PutObject", resource="arn:aws:s3:::open/p*"))
    for name, status in (("p", 401), ("q", 201)):
        path = f"open/{name}"
        assert peers.send(two, "PUT", path, peers.signed(two, "PUT", path), b"1").status == status


def test_an_allow_opens_it(swift, anybody, stranger):
    set_policy(swift, statement(), statement(principal={"AWS": stranger.client.project_id}, action="s3:*"))
    assert anybody("GET", "open/o").content == b"data"
    assert anybody("PUT", "open/o", b"x").status == 401 and stranger("PUT", "open/o", b"x").status == 201
    assert stranger("DELETE", "open/o").status == 204
    assert stranger("POST", "open").status == 403
