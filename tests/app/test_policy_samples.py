# SPDX-License-Identifier: Apache-2.0
"""oslo.policy's own generator prints our rules under upstream's namespaces."""

import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.app.service_list import ALL_SERVICES


@pytest.mark.parametrize("service", ALL_SERVICES, ids=lambda service: service.policy_namespace)
def test_the_generator_prints_every_rule(service):
    program = Path(sys.executable).parent / "oslopolicy-sample-generator"
    argv = [str(program), "--namespace", service.policy_namespace]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    missing = [rule.name for rule in service.declared_rules() if f'"{rule.name}":' not in printed]
    assert not missing
