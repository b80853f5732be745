# SPDX-License-Identifier: Apache-2.0
"""`./dev coverage [SERVICE..]`: run the scenarios on a private cloud; results go to docs/coverage/SERVICE.json."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from altostratus.testing.private_cloud import PrivateCloud
from conformance.coverage.caller import run_call
from conformance.coverage.client import run_command
from conformance.coverage.scenarios import RESULTS, SCENARIOS
from conformance.coverage.steps import Memory, Result, Scenario, command_of


def try_calls(cloud: PrivateCloud, scenario: Scenario, known: Memory) -> dict[str, Result]:
    """The result of every call by its name: the first that went wrong, if several steps make the same call."""
    memory = scenario.memory | known | {f"password_of_{user}": word for user, word in cloud.passwords.items()}
    found: dict[str, Result] = {}
    for step in scenario.calls:
        _note(found, step.name, run_call(step, cloud.url + scenario.prefix, memory))
    return found


def try_commands(cloud: PrivateCloud, scenario: Scenario, files: Path) -> dict[str, Result]:
    """The same for the commands of the client."""
    for name, text in scenario.files.items():
        (files / name).write_text(text)
    memory: Memory = {"files": str(files)}
    passwords = cloud.passwords | scenario.passwords
    found: dict[str, Result] = {}
    for step in scenario.commands:
        environment = credentials(cloud, step.by, scenario.projects.get(step.by, step.by), passwords[step.by])
        name = command_of(step.line, scenario.command_names)
        _note(found, name, run_command(step, environment, memory))
    return found


def credentials(cloud: PrivateCloud, user: str, project: str, password: str) -> dict[str, str]:
    """What `alto openrc` prints."""
    return {
        "OS_AUTH_URL": cloud.url + "/identity/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }


def _note(found: dict[str, Result], name: str, result: Result) -> None:
    if not result.ok:
        sys.stderr.write(f"{name}: {result.answer}\n")
    if name not in found or found[name].ok:
        found[name] = result


def as_json(results: dict[str, Result]) -> dict[str, Any]:
    return {name: {"ok": result.ok, "answer": result.answer} for name, result in sorted(results.items())}


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    failed = 0
    for name in sys.argv[1:] or SCENARIOS:
        scenario = SCENARIOS[name]
        with (
            scenario.beside() as (config, known),
            PrivateCloud(config=config) as cloud,
            tempfile.TemporaryDirectory() as files,
        ):
            calls = try_calls(cloud, scenario, known)
            commands = try_commands(cloud, scenario, Path(files))
        shown = {"calls": as_json(calls), "commands": as_json(commands)}
        (RESULTS / f"{name}.json").write_text(json.dumps(shown, indent=1) + "\n")
        failed += sum(not result.ok for result in (*calls.values(), *commands.values()))
        sys.stderr.write(f"{name}: {len(calls)} calls, {len(commands)} commands, {failed} not as they should be\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
