# SPDX-License-Identifier: Apache-2.0
"""`alto policy`: operators' policy files, and sets of rules that can be applied and removed.

A program of its own, for it loads every service.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from oslo_policy.policy import RuleDefault
from rich.table import Table

from altostratus.app import policy_samples
from altostratus.app.options import CloudOptions, Paths, base_url
from altostratus.app.policy_files import SETS, PolicyPlaces
from altostratus.app.policy_state import (
    SERVICES,
    apply_set,
    is_applied,
    kept_rules,
    load_places,
    remove_set,
    states,
)
from altostratus.cli.place import demand_running, find_place, log_in, request
from altostratus.cli.screen import fail, out, say
from altostratus.kernel.config import ConfigError
from altostratus.kernel.policy import Policy
from altostratus.kernel.policy_files import PolicyFileError

# (method, path, body or None) -> JSON of the identity API
Ask = Callable[..., Any]
app = typer.Typer(
    name="alto policy",
    help="Policy files, and sets of rules to apply.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
SetName = Annotated[str, typer.Argument(help=f"name of a set: {', '.join(SETS)}")]


def _places(paths: Paths) -> PolicyPlaces:
    try:
        return load_places(paths)
    except ConfigError as error:
        fail(str(error))


@app.command("list")
def list_files() -> None:
    """List the sets and which are applied, and each service's policy files with what is wrong in them."""
    paths, _ = find_place()
    places = _places(paths)
    sets = Table("set", "applied")
    for name in SETS:
        sets.add_row(name, "yes" if is_applied(name, places) else "no")
    out.print(sets)
    table = Table("service", "files", "rules", "remarks")
    found = states(places)
    for state in found:
        remarks = [*state.problems, *(f"nobody asks for the rule {name}" for name in sorted(state.unused))]
        files = "\n".join(map(str, state.files)) or "none: the defaults stand"
        table.add_row(state.service.type, files, str(len(state.overrides)), "\n".join(remarks))
    out.print(table)
    raise typer.Exit(1 if any(state.problems for state in found) else 0)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a set, a service (compute, nova), or a rule (volume:create)")],
) -> None:
    """Show the rules of a set, a service's rules that stand in files, or one rule as it stands."""
    paths, _ = find_place()
    places = _places(paths)
    if name in SETS:
        for service in SERVICES:
            for rule, check in SETS[name].rules_of(service).items():
                typer.echo(f"{json.dumps(rule)}: {json.dumps(check)}")
        return
    for service in SERVICES:
        try:
            policy = Policy(service.declared_rules(), places.of(service))
        except PolicyFileError as error:
            fail(f"{error}. Mend the file first.")
        chosen = sorted(policy.overrides()) if name in (service.type, service.policy_namespace) else []
        chosen += [name] if name in policy.declared else []
        for rule in chosen:
            typer.echo(
                f"{json.dumps(rule)}: {json.dumps(policy.describe(rule))}   # {policy.origin(rule) or 'default'}"
            )
        if chosen or name in (service.type, service.policy_namespace):
            return
    fail(f"there is no set, service or rule {name!r}. See: alto policy list")


@app.command()
def apply(name: SetName) -> None:
    """Make the set's roles and put its rules in force. Your own rules are kept and win."""
    _demand_set(name)
    paths, options = demand_running()
    places = _places(paths)
    make_roles(name, _identity(paths, options))
    try:
        apply_set(name, places)
        kept = kept_rules(name, places)
    except OSError as error:
        fail(f"cannot write below {places.directory}: {error.strerror}. Run the command as root, or with sudo.")
    for rule, path in kept.items():
        say(f"kept: your {path} says something else about {rule}, and wins")
    say(f"{name} is applied; running services follow within a second")


@app.command()
def remove(name: SetName) -> None:
    """Take the set's rules back. Roles of it that nobody has go too."""
    _demand_set(name)
    paths, options = demand_running()
    if not remove_set(name, _places(paths)):
        fail(f"{name} is not applied")
    remove_roles(name, _identity(paths, options))
    say(f"{name} is removed; running services follow within a second")


@app.command()
def sample(
    namespace: Annotated[str, typer.Option(help="keystone, nova, neutron, cinder, glance, placement")],
    form: Annotated[str, typer.Option("--format", help="json or yaml")] = "yaml",
    output_file: Annotated[Path | None, typer.Option(help="where to write it; default: print it")] = None,
) -> None:
    """Write every rule of a service with its default, like `oslopolicy-sample-generator`, but JSON too."""
    rules: list[RuleDefault] = getattr(policy_samples, namespace, list)()
    if not rules or form not in ("json", "yaml"):
        fail("choose a namespace (keystone, nova, neutron, cinder, glance, placement) and a format (json, yaml)")
    checks = {rule.name: rule.check_str for rule in rules}
    text = json.dumps(checks, indent=4) if form == "json" else "\n".join(_yaml(rule) for rule in rules)
    if output_file is None:
        typer.echo(text)
    else:
        output_file.write_text(text + "\n")


def _yaml(rule: RuleDefault) -> str:
    return f"# {rule.description}\n{json.dumps(rule.name)}: {json.dumps(rule.check_str)}\n"


def _demand_set(name: str) -> None:
    if name not in SETS:
        fail(f"there is no set {name!r}. There is: {', '.join(SETS)}")


def make_roles(name: str, ask: Ask) -> None:
    """Roles of a set with what they imply; those that exist are left as they are."""
    for role in SETS[name].ROLES:
        role_id = _role_id(ask, role.name)
        if role_id is None:
            body = {"role": {"name": role.name, "description": role.description}}
            role_id = ask("POST", "/roles", body)["role"]["id"]
            say(f"made the role {role.name}")
        implied = {one["name"] for one in ask("GET", f"/roles/{role_id}/implies")["role_inference"]["implies"]}
        if more := sorted(implied - {role.implies}) if role.implies else []:
            say(f"note: your role {role.name} implies {', '.join(more)}: whoever is given it has these rights too")
        if role.implies is not None and role.implies not in implied:
            ask("PUT", f"/roles/{role_id}/implies/{_role_id(ask, role.implies)}")


def remove_roles(name: str, ask: Ask) -> None:
    """Roles of a set that nobody has."""
    for role in SETS[name].ROLES:
        role_id = _role_id(ask, role.name)
        if role_id is None or role.implies is None:  # admin was there before
            continue
        assigned = ask("GET", f"/role_assignments?role.id={role_id}")["role_assignments"]
        if assigned:
            say(f"kept: the role {role.name}, which {len(assigned)} assignments give")
        else:
            ask("DELETE", f"/roles/{role_id}")


def _role_id(ask: Ask, name: str) -> str | None:
    found = ask("GET", f"/roles?name={name}")["roles"]
    return found[0]["id"] if found else None


def _identity(paths: Paths, options: CloudOptions) -> Ask:
    """fn(method, path, body) -> JSON of the identity API, as its administrator."""
    token, _ = log_in(paths, options)

    def ask(method: str, path: str, body: Any = None) -> Any:
        url = f"{base_url(options)}/identity/v3{path}"
        status, _, shown = request(method, url, body, headers={"X-Auth-Token": token})
        if status >= 400:
            fail(f"{method} {path}: {shown['error']['message'] if isinstance(shown, dict) else shown}")
        return shown

    return ask


if __name__ == "__main__":
    app(prog_name="alto policy")
