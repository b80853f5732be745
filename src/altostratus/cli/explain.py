# SPDX-License-Identifier: Apache-2.0
"""`alto explain policy`: may somebody do something, by which rule, and why."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out

app = typer.Typer(help="Why the cloud does what it does.", no_args_is_help=True)


@app.callback()
def explain() -> None:
    """Why the cloud does what it does."""


@app.command()
def policy(
    user: Annotated[str, typer.Argument(help="name or id of a user")],
    operation: Annotated[
        str, typer.Argument(help="a rule (volume:create), a request ('POST /volume/v3/volumes') or words")
    ],
    project: Annotated[str, typer.Argument(help="name or id; may be left out for a user with one project")] = "",
    domain: Annotated[str, typer.Option(help="ask about a token of this domain instead")] = "",
    system: Annotated[bool, typer.Option("--system", help="ask about a token of the whole system instead")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say whether a user may do something, by which rule, through which assignment, or which role is missing.

    The answer is about things that belong to the project itself. The status is 0 if it is allowed, 4 if not.
    """
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    asked = {"user": user, "operation": operation, "project": project, "domain": domain}
    query = {name: value for name, value in asked.items() if value} | ({"system": "all"} if system else {})
    url = f"{base_url(options)}/alto/v1/policy/explanation?{urlencode(query)}"
    status, _, shown = request("GET", url, headers={"X-Auth-Token": token})
    if status != 200:
        fail(shown["error"]["message"] if isinstance(shown, dict) else str(shown))
    found = shown["explanation"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    raise typer.Exit(0 if found["allowed"] else 4)


def _print(found: dict[str, Any]) -> None:
    verdict = "[green]allowed[/green]" if found["allowed"] else "[red]refused[/red]"
    place = f"{found['scope']['kind']} {found['scope']['name']}"
    lines = [("answer", f"{verdict}  (user {found['user']['name']}, {place})"), ("rule", found["rule"] or "none")]
    if found["check"] is not None:
        lines.append(("check", f"{found['check'] or '@'}  (from: {found['source']})"))
        if found["source"] != "default" and found["default_check"] is not None:
            lines.append(("default", found["default_check"]))
    lines += [("through", _way(one)) for one in found["because"]]
    lines.append(("why", found["why"]))
    if not found["allowed"]:
        lines += [("roles here", ", ".join(dict.fromkeys(one["role"] for one in found["roles"])) or "none")]
        lines += [("would allow", ", ".join(found["would_allow"]) or "no role")]
    for name, words in lines:
        out.print(f"[bold]{name:12}[/bold]{words}", soft_wrap=True)


def _way(one: dict[str, Any]) -> str:
    ways = [f"role {one['role']}"]
    if one["implied_by"]:
        ways.append(f"implied by role {one['implied_by']}")
    if one["group"]:
        ways.append(f"given to group {one['group']}")
    if one["inherited_from"]:
        ways.append(f"inherited from {one['inherited_from']}")
    return ", ".join(ways) if len(ways) > 1 else f"{ways[0]}, given to the user"
