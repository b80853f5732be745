# SPDX-License-Identifier: Apache-2.0
"""`./dev coverage [SERVICE..]`: run the scenarios on a private cloud; results go to docs/coverage/SERVICE.json."""

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from altostratus.testing.private_cloud import PrivateCloud
from conformance.coverage.caller import run_call
from conformance.coverage.client import run_command
from conformance.coverage.s3_client import S3Caller, operation_names
from conformance.coverage.scenarios import RESULTS, SCENARIOS
from conformance.coverage.steps import Memory, Result, Scenario, command_of, filled

Results = dict[str, Result]


def try_calls(cloud: PrivateCloud, scenario: Scenario, known: Memory) -> Results:
    """The result of every call by its name: the first that went wrong, if several steps make the same call."""
    memory = filled(scenario.memory, known) | known
    found: Results = {}
    for step in scenario.calls:
        _note(found, step.name, run_call(step, cloud.url + scenario.prefix, memory))
    return found


def try_commands(cloud: PrivateCloud, scenario: Scenario, files: Path) -> Results:
    """The same for the commands of the client."""
    for name, text in scenario.files.items():
        (files / name).write_text(text)
    memory: Memory = {"files": str(files)}
    passwords = cloud.passwords | scenario.passwords
    found: Results = {}
    for step in scenario.commands:
        environment = credentials(cloud, step.by, scenario.projects.get(step.by, step.by), passwords[step.by])
        name = command_of(step.line, scenario.command_names)
        with contextlib.chdir(files):
            _note(found, name, run_command(step, environment, memory))
    return found


def try_s3(cloud: PrivateCloud, scenario: Scenario, known: Memory) -> Results:
    """The same for the operations of S3; those without a step come first, while there is nothing they could find."""
    caller = S3Caller(cloud, "demo", known)
    memory: Memory = {"bucket": "pictures", "key": "hills/first.jpg"}
    offered = {step.operation for step in scenario.s3}
    found: Results = {}
    for name in operation_names():
        if name not in offered:
            _note(found, name, caller.ask_without_a_step(name, memory))
    for step in scenario.s3:
        _note(found, step.operation, caller.ask(step, memory))
    return found


def users(cloud: PrivateCloud) -> Memory:
    """Those that every cloud has, each with a token of the project of the same name."""
    known: Memory = {}
    for user, password in cloud.passwords.items():
        _, headers, shown = cloud.request("POST", "/identity/v3/auth/tokens", cloud.login_body(user, user), token="")
        known |= {
            f"password_of_{user}": password,
            f"token_of_{user}": headers["x-subject-token"],
            f"user_of_{user}": shown["token"]["user"]["id"],
            f"project_of_{user}": shown["token"]["project"]["id"],
        }
    return known


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


def _note(found: Results, name: str, result: Result) -> None:
    if result.ok is False:
        sys.stderr.write(f"{name}: {result.answer}\n")
    if name not in found or found[name].ok:
        found[name] = result


def as_json(results: Results) -> dict[str, Any]:
    return {name: {"ok": result.ok, "answer": result.answer} for name, result in sorted(results.items())}


def try_service(name: str) -> int:
    """Run a scenario and write its results; how many of them are not as they should be."""
    scenario = SCENARIOS[name]
    with (
        scenario.beside() as (config, known),
        PrivateCloud(config=config) as cloud,
        tempfile.TemporaryDirectory() as files,
    ):
        known |= users(cloud)
        found = {
            "calls": try_calls(cloud, scenario, known),
            "commands": try_commands(cloud, scenario, Path(files)),
        }
        if scenario.s3:
            found["s3"] = try_s3(cloud, scenario, known)
    (RESULTS / f"{name}.json").write_text(
        json.dumps({kind: as_json(all_) for kind, all_ in found.items()}, indent=1) + "\n"
    )
    failed = sum(result.ok is False for results in found.values() for result in results.values())
    tried = ", ".join(f"{len(results)} {kind}" for kind, results in found.items())
    sys.stderr.write(f"{name}: {tried}, {failed} not as they should be\n")
    return failed


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    unknown = [name for name in sys.argv[1:] if name not in SCENARIOS]
    if unknown:
        sys.stderr.write(f"There is no scenario of {unknown[0]}; there are: {', '.join(SCENARIOS)}\n")
        return 2
    failed = [try_service(name) for name in sys.argv[1:] or SCENARIOS]
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main())
