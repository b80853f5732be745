# SPDX-License-Identifier: Apache-2.0
"""Schemathesis against our own OpenAPI documents: whatever it thinks of, no answer is a 5xx.

`ALTO_FUZZ_EXAMPLES` raises the number of cases for each operation.
"""

import os

import falcon.testing
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core import NotSet

from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.resource.openapi import describe_service
from tests.matrix.whole import make_cloud

EXAMPLES = int(os.environ.get("ALTO_FUZZ_EXAMPLES", "4"))
FINE = {501, 503}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with make_cloud(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


def send(client, case, service):
    headers = {"X-Auth-Token": "member"}
    if service.versions.maximum:
        name = getattr(service.versions, "service", service.type)
        headers["OpenStack-API-Version"] = f"{name} {service.versions.maximum}"
    body = None
    if not isinstance(case.body, NotSet):
        raw = getattr(case.body, "data", case.body)
        body = raw if isinstance(raw, bytes) else msgspec.json.encode(case.body)
        headers["Content-Type"] = case.media_type or "application/json"
    query = {name: str(value) for name, value in (case.query or {}).items()}
    return client.simulate_request(case.method, case.formatted_path, params=query, body=body, headers=headers)


@pytest.mark.parametrize("service", ALL_SERVICES, ids=lambda service: service.type)
def test_nothing_breaks(cloud, service):
    client = falcon.testing.TestClient(cloud.app)
    schema = schemathesis.openapi.from_dict(describe_service(service))
    broken: dict[str, str] = {}
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def try_it(case):
            answer = send(client, case, service)
            if answer.status_code >= 500 and answer.status_code not in FINE:
                broken[f"{case.method} {case.formatted_path}"] = f"{answer.text[:200]} body={str(case.body)[:300]}"

        try_it()
    assert not broken
