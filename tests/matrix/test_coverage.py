# SPDX-License-Identifier: Apache-2.0
"""The coverage page speaks of everything: each declared operation, each step of the scenarios, each command."""

import json

import pytest

from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.resource.service import Service
from conformance.coverage.s3_client import operation_names
from conformance.coverage.scenarios import RESULTS, SCENARIOS
from conformance.coverage.steps import command_of, shape

SERVICES = [service for service in ALL_SERVICES if service.type in SCENARIOS]
CHOICES = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.type)


def declared(service: Service) -> set[str]:
    """The service's operations as the scenarios name calls, parameters without names; without those of S3."""
    scenario, found = SCENARIOS[service.type], set()
    for op in service.operations():
        whole = op.resource.path + op.path
        prefix = service.root if whole.startswith("!") else service.path
        path = (prefix + whole.removeprefix("!")).removeprefix(scenario.prefix)
        if scenario.s3 and f"{path}/".startswith(f"{scenario.s3_path}/"):
            continue
        found.add(shape(f"{op.method} {path or '/'}"))
    return found


@CHOICES
def test_every_declared_operation_is_tried(service):
    tried = {shape(step.name) for step in SCENARIOS[service.type].calls}
    missing = sorted(declared(service) - tried)
    assert not missing, f"give each of these a step in conformance/coverage: {missing}"


@CHOICES
def test_every_command_of_the_client_is_typed(service):
    scenario = SCENARIOS[service.type]
    typed = {command_of(step.line, scenario.command_names) for step in scenario.commands}
    assert typed == set(scenario.command_names)


@CHOICES
def test_the_results_are_of_these_scenarios(service):
    scenario = SCENARIOS[service.type]
    found = json.loads((RESULTS / f"{service.type}.json").read_text())
    assert set(found["calls"]) == {step.name for step in scenario.calls}, "run ./dev coverage"
    assert set(found["commands"]) == set(scenario.command_names), "run ./dev coverage"
    if scenario.s3:
        assert set(found["s3"]) == set(operation_names()), "run ./dev coverage"
        told = {name: one["ok"] for name, one in found["s3"].items()}
        assert all(told[step.operation] is not None for step in scenario.s3), "run ./dev coverage"
