# SPDX-License-Identifier: Apache-2.0
"""The command itself: starts the cloud if needed, runs the steps, shows what they did."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.api_client import Client, ClientError
from altostratus.cli.demo.cleaning import clean as clean_up
from altostratus.cli.demo.steps import NAMES, STEPS, Demo
from altostratus.cli.image import ensure_mini_image
from altostratus.cli.lifecycle import up
from altostratus.cli.place import find_place, running_pid
from altostratus.cli.screen import err, fail, out, say
from altostratus.kernel import clock


def demo(
    clean: Annotated[bool, typer.Option("--clean", help="remove everything the demo has made")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Do the main job of a cloud: boot a server, log in, use a volume, and show how long each step took."""
    paths, options = find_place()
    if running_pid(paths) is None:
        if clean:
            fail("the cloud is not running, so nothing can be removed. Start it with: alto up")
        up(wait=True)
    (paths.state / "demo").mkdir(parents=True, exist_ok=True)
    state = Demo(paths, options, Client(paths, options, "admin"), Client(paths, options, "demo"))
    if clean:
        gone = clean_up(state)
        say(f"removed: {', '.join(gone) or 'nothing was there'}")
        return
    ensure_mini_image(paths, paths.state / "demo" / "mini.qcow2")
    results, error = _run(state, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(_summary(state, results, error), indent=2))
    elif error is None:
        _show(state, results)
    if error is not None:
        say(str(error), "demo failed", "red")
        say("look at: alto logs, alto status, and alto trace " + str(state.made.get("server", "ID")))
        raise typer.Exit(1)
    (err if as_json else out).print(f"demo: {len(results)} steps passed")


def _run(state: Demo, *, quiet: bool) -> tuple[list[dict[str, Any]], str | None]:
    results: list[dict[str, Any]] = []
    for number, (words, step) in enumerate(STEPS, 1):
        started = clock.monotonic()
        try:
            with err.status(f"[{number}/{len(STEPS)}] {words} ..."):
                detail = step(state)
        except (ClientError, OSError) as error:
            return results, f"could not {words}: {error}"
        seconds = clock.monotonic() - started
        results.append({"step": words, "seconds": round(seconds, 2), "detail": detail})
        if not quiet:
            err.print(f"  [green]ok[/green] {words} [dim]({seconds:.1f} s)[/dim] {escape(detail)}", soft_wrap=True)
    return results, None


def _summary(state: Demo, results: list[dict[str, Any]], error: str | None) -> dict[str, Any]:
    return {
        "passed": len(results),
        "error": error,
        "steps": results,
        "made": state.made,
        "seconds": round(sum(one["seconds"] for one in results), 2),
        "auth_url": base_url(state.options) + "/identity/v3",
    }


def _show(state: Demo, results: list[dict[str, Any]]) -> None:
    table = Table("step", "seconds", "result", title="what the demo did")
    for one in results:
        table.add_row(one["step"], f"{one['seconds']:.2f}", one["detail"])
    table.add_row("all", f"{sum(one['seconds'] for one in results):.2f}", "")
    out.print(table)
    things = Table("kind", "name", "id", title="what it made (project demo)")
    for kind, name in NAMES.items():
        things.add_row(kind, name, str(state.made.get(kind, "")))
    things.add_row("floating IP", str(state.made["floating_ip"]), str(state.made["floating_ip_id"]))
    out.print(things)
    out.print(
        'Go on:\n  eval "$(./alto openrc demo)" && openstack server list'
        f"\n  sudo ./alto ssh {NAMES['server']}"
        f"\n  ./alto trace {state.made['server']}"
        "\n  sudo ./alto demo --clean        removes what the demo made"
        "\n  sudo ./alto down                stops the cloud; up brings it back"
    )
