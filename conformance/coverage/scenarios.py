# SPDX-License-Identifier: Apache-2.0
"""The scenarios, by service type: a service that comes adds itself here."""

from pathlib import Path

from conformance.coverage import (
    identity_calls,
    identity_commands,
    identity_federation,
    object_store_calls,
    object_store_commands,
    s3_steps,
)
from conformance.coverage.steps import Scenario

RESULTS = Path(__file__).parents[2] / "docs" / "coverage"
SCENARIOS = {
    "identity": Scenario(
        title="Identity service",
        prefix="/identity",
        calls=identity_calls.CALLS,
        commands=identity_commands.COMMANDS,
        command_names=identity_commands.COMMAND_NAMES,
        files=identity_commands.FILES,
        memory=identity_calls.NAMES,
        passwords={"pupil": "first-secret"},
        projects={"pupil": "demo"},
        beside=identity_federation.provider,
    ),
    "object_store": Scenario(
        title="Object store",
        prefix="/object-store",
        calls=object_store_calls.CALLS,
        commands=object_store_commands.COMMANDS,
        command_names=object_store_commands.COMMAND_NAMES,
        s3=s3_steps.STEPS,
        files=object_store_commands.FILES,
        memory=object_store_calls.NAMES,
    ),
}
