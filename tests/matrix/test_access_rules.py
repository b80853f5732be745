# SPDX-License-Identifier: Apache-2.0
"""Access rules of application credentials, in every operation of every service."""

import re
from pathlib import Path

import pytest

from altostratus.kernel.access_rules import AccessRule
from altostratus.testing.personas import project_id
from tests.bound import BoundAuthenticator
from tests.matrix.whole import EVERY_OPERATION, body_of, headers_of, make_cloud, name_of, path_of

RULED = [entry for entry in EVERY_OPERATION if not entry[1].public and not entry[1].beyond_access_rules]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with make_cloud(tmp_path_factory.mktemp("rules")) as made:
        made.cloud.authenticator = BoundAuthenticator()
        yield made


def ask(cloud, entry, path=None, method=None):
    service, op = entry
    headers = {name.replace("-", "_"): value for name, value in headers_of(service, op).items()}
    return cloud.client("admin", **headers).request(method or op.method, path or path_of(service, op), body_of(op))


def rule_for(entry):
    """The rule that somebody would write for the operation: its path below the service, names as wildcards."""
    service, op = entry
    whole = op.resource.path + op.path
    path = whole.removeprefix("!") if whole.startswith("!") else service.path.removeprefix(service.root) + whole
    return AccessRule(service.catalog_types[0], op.method, re.sub(r"\{[a-z_]+:path\}", "**", path) or "/")


def test_what_no_rule_names_is_refused_everywhere(cloud):
    cloud.cloud.authenticator.rules = [AccessRule("nothing", "GET", "/**")]
    wrong = {name_of(entry): answer.status for entry in RULED if (answer := ask(cloud, entry)).status != 401}
    assert not wrong


def test_a_rule_with_the_path_of_the_operation_opens_it(cloud):
    wrong = {}
    for entry in RULED:
        cloud.cloud.authenticator.rules = [rule_for(entry)]
        answer = ask(cloud, entry)
        if answer.status == 401:
            wrong[name_of(entry)] = answer.text
    assert not wrong


def test_a_project_in_the_path_is_a_part_like_any_other(cloud):
    cloud.cloud.authenticator.rules = [AccessRule("volumev3", "GET", "/v3/{project_id}/volumes")]
    admin, place = cloud.client("admin"), f"/volume/v3/{project_id('admin')}"
    assert admin.get(f"{place}/volumes").status == 200
    assert admin.get(f"{place}/snapshots").status == 401
    assert admin.get("/volume/v3/volumes").status == 401
    cloud.cloud.authenticator.rules = [AccessRule("block-storage", "GET", "/v3/*/volumes")]
    assert admin.get(f"{place}/volumes").status == 200  # by its other name in the catalog


@pytest.mark.parametrize(
    "path",
    [
        "/compute/v2.1/servers/../flavors",
        "/compute/v2.1/servers/%2e%2e/flavors",
        "/compute/v2.1/servers/..%2fflavors",
        "/compute/v2.1/flavors#/v2.1/servers/x",
        "/compute/v2.1/flavors?/v2.1/servers/x",
        "/compute/v2.1/flavors;/v2.1/servers/x",
        "//compute/v2.1/flavors",
        "/compute//v2.1/flavors",
        "/compute/v2.1//flavors",
        "/compute/v2.1/flavors/",
        "/compute/v2.1/%66lavors",
        "/compute/v2/flavors",
        "/network/v2.0/networks",
    ],
)
def test_no_spelling_of_a_path_gets_past_the_rules(cloud, path):
    """A rule for servers, and other things asked for in every disguise."""
    cloud.cloud.authenticator.rules = [
        AccessRule("compute", "GET", "/v2.1/servers"),
        AccessRule("compute", "GET", "/v2.1/servers/**"),
    ]
    assert cloud.client("admin").get("/compute/v2.1/servers").status == 200
    answer = cloud.client("admin").get(path)
    assert answer.status in (401, 404, 405), answer.text


def test_a_rule_for_things_below_is_none_for_the_list(cloud):
    cloud.cloud.authenticator.rules = [AccessRule("network", "GET", "/v2.0/networks/**")]
    assert cloud.client("admin").get("/network/v2.0/networks/x").status == 404
    for path in ("/network/v2.0/networks", "/network/v2.0/networks/"):
        assert cloud.client("admin").get(path).status == 401


def test_the_method_is_the_one_that_was_asked_for(cloud):
    cloud.cloud.authenticator.rules = [AccessRule("compute", "GET", "/v2.1/servers")]
    for method in ("HEAD", "POST"):
        assert cloud.client("admin").request(method, "/compute/v2.1/servers", {}).status == 401


def test_there_is_one_door_for_tokens():
    """Who asks the authenticator directly forgets the rules: `Call.authenticate` looks at both."""
    source = Path(__file__).parents[2] / "src" / "altostratus"
    asking = [path for path in source.rglob("*.py") if "authenticator.authenticate(" in path.read_text()]
    assert [path.relative_to(source).as_posix() for path in asking] == ["kernel/resource/call.py"]
