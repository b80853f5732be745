# SPDX-License-Identifier: Apache-2.0
"""Bug: `²` is a digit to Python, but no number, and of more than 4300 digits it reads none: 500 for both."""

from urllib.parse import urlencode

import falcon.testing
import pytest

from tests.matrix.whole import NOWHERE, make_cloud

QUERIES = [
    ("/compute/v2.1/servers/detail", "power_state"),
    ("/compute/v2.1/servers/detail", "launch_index"),
    ("/compute/v2.1/os-hypervisors", "limit"),
    ("/compute/v2.1/flavors", "minRam"),
    ("/compute/v2.1/flavors/detail", "minDisk"),
    ("/network/v2.0/network-ip-availabilities", "ip_version"),
    ("/placement/allocation_candidates?resources=VCPU:1", "limit"),
    ("/placement/allocation_candidates", "resources"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with make_cloud(tmp_path_factory.mktemp("digits")) as made:
        yield falcon.testing.TestClient(made.app)


@pytest.mark.parametrize("number", ["²", "9" * 5000], ids=["superscript", "long"])
@pytest.mark.parametrize(("path", "name"), QUERIES)
def test_queries(client, path, name, number):
    value = f"VCPU:{number}" if name == "resources" else number
    where = f"{path}{'&' if '?' in path else '?'}{urlencode({name: value})}"
    headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.16, compute 2.88"}
    assert client.simulate_get(where, headers=headers).status_code in (200, 400)


@pytest.mark.parametrize("number", ["²", "9" * 5000], ids=["superscript", "long"])
def test_what_a_server_has(client, number):
    headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "compute 2.95"}
    for path in ("os-volume_attachments", "os-instance-actions"):
        where = f"/compute/v2.1/servers/{NOWHERE}/{path}?{urlencode({'limit': number})}"
        assert client.simulate_get(where, headers=headers).status_code in (400, 404)


def test_the_size_of_an_image(client):
    headers = {"X-Auth-Token": "admin", "X-OpenStack-Image-Size": "\u00b2".encode().decode("latin-1")}
    where = f"/image/v2/images/{NOWHERE}/file"
    assert client.simulate_put(where, body=b"x", headers=headers).status_code in (400, 404)


@pytest.mark.parametrize("number", ["²", "9" * 5000], ids=["superscript", "long"])
def test_the_protocol_of_a_rule(client, number):
    rule = {"security_group_id": NOWHERE, "direction": "ingress", "protocol": number}
    found = client.simulate_post(
        "/network/v2.0/security-group-rules", json={"security_group_rule": rule}, headers={"X-Auth-Token": "member"}
    )
    assert found.status_code in (400, 404)
