# SPDX-License-Identifier: Apache-2.0
"""What operators' policy files say, looked at from outside the running cloud; and applying a set of rules.

As a program: prints what is wrong in them, a line each, and ends with 1 if anything is.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from altostratus.app.admin.service import SERVICE as ADMIN
from altostratus.app.options import Paths, default_state_dir
from altostratus.app.policy_files import SETS, PolicyOptions, PolicyPlaces
from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.config import load
from altostratus.kernel.policy import Policy
from altostratus.kernel.policy_files import PolicyFileError, PolicyFiles
from altostratus.kernel.resource.service import Service

SERVICES = (*ALL_SERVICES, ADMIN)


@dataclass(frozen=True, slots=True)
class PolicyState:
    """Of one service: its files, the strongest last; rules that stand in them; what is wrong."""

    service: Service
    files: list[Path]
    overrides: dict[str, Path]
    unused: set[str]
    problems: tuple[str, ...]


def load_places(paths: Paths) -> PolicyPlaces:
    """Raises ConfigError."""
    return PolicyPlaces(paths.policy, load(paths.config, (PolicyOptions,), only=False)[PolicyOptions])


def states(places: PolicyPlaces) -> list[PolicyState]:
    """A name in a file for all services counts as unused only if no service asks for it."""
    found = [_state(service, places) for service in SERVICES]
    shared = [path for path in found[0].files if all(path in state.files for state in found)]
    used = set().union(*(set(state.overrides) - state.unused for state in found))
    return [
        PolicyState(
            state.service,
            state.files,
            state.overrides,
            {name for name in state.unused if state.overrides[name] not in shared or name not in used},
            state.problems,
        )
        for state in found
    ]


def _state(service: Service, places: PolicyPlaces) -> PolicyState:
    paths = places.of(service)
    try:
        policy = Policy(service.declared_rules(), paths)
    except PolicyFileError as error:
        return PolicyState(service, PolicyFiles(paths).existing(), {}, set(), error.problems)
    return PolicyState(service, policy.paths, policy.overrides(), policy.unused(), ())


def apply_set(name: str, places: PolicyPlaces) -> list[Path]:
    """Write the set's files; the running cloud follows within a second. Raises OSError."""
    folder = places.directory / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    written = []
    for service in SERVICES:
        rules = SETS[name].rules_of(service)
        if rules:
            path = folder / f"{service.type}.yaml"
            fresh = path.with_suffix(".new")
            fresh.write_text("\n".join(_lines(name, service, rules)) + "\n")
            fresh.chmod(0o644)
            fresh.rename(path)
            written.append(path)
    return written


def _lines(name: str, service: Service, rules: dict[str, str]) -> Iterator[str]:
    yield f"# Rules of the set {name} for the {service.title.lower()}. Made by: alto policy apply {name}"
    yield f"# Do not edit: your own rules belong into {service.type}.yaml one folder above, and win over these."
    for rule, check in rules.items():
        yield f"{json.dumps(rule)}: {json.dumps(check)}"


def remove_set(name: str, places: PolicyPlaces) -> bool:
    """Was it applied?"""
    folder = places.directory / name
    applied = folder.is_dir()
    if applied:
        shutil.rmtree(folder)
    return applied


def is_applied(name: str, places: PolicyPlaces) -> bool:
    return (places.directory / name).is_dir()


def kept_rules(name: str, places: PolicyPlaces) -> dict[str, Path]:
    """Rules of the set for which a file of the operator says something else, and so wins."""
    found: dict[str, Path] = {}
    for state in states(places):
        own = places.directory / name / f"{state.service.type}.yaml"
        for rule in SETS[name].rules_of(state.service):
            if state.overrides.get(rule, own) != own:
                found[rule] = state.overrides[rule]
    return found


def main() -> int:
    problems = [problem for state in states(load_places(Paths(default_state_dir()))) for problem in state.problems]
    sys.stdout.writelines(f"{problem}\n" for problem in dict.fromkeys(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
