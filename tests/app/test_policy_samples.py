# SPDX-License-Identifier: Apache-2.0
"""oslo.policy's own generator prints our rules under upstream's namespaces."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from altostratus.app.service_list import ALL_SERVICES

WITH_RULES = [service for service in ALL_SERVICES if service.declared_rules()]


@pytest.mark.parametrize("service", WITH_RULES, ids=lambda service: service.type)
def test_every_rule_is_registered(service):
    (entry,) = entry_points(group="oslo.policy.policies", name=service.policy_namespace)
    assert {rule.name for rule in service.declared_rules()} <= {rule.name for rule in entry.load()()}


def test_the_generator_prints_them():
    program = Path(sys.executable).parent / "oslopolicy-sample-generator"
    printed = subprocess.run([str(program), "--namespace", "cinder"], capture_output=True, text=True, check=True).stdout
    assert '"volume:create": "' in printed
