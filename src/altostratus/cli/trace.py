# SPDX-License-Identifier: Apache-2.0
"""`alto trace`: what happened to a request or a resource, step by step, with times."""

import json
from typing import Annotated

import typer
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out


def trace(
    name: Annotated[str, typer.Argument(help="a request id (req-...), or the id of a server, volume, image, port ...")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the way of a request, from the API call over the job's steps to the guest's boot."""
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    status, _, shown = request("GET", f"{base_url(options)}/alto/v1/traces/{name}", headers={"X-Auth-Token": token})
    if status != 200:
        fail(shown["error"]["message"] if isinstance(shown, dict) else str(shown))
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    table = Table("time", "after (s)", "who", "what", "detail", title=f"trace of {name}")
    for event in shown["events"]:
        detail = (
            event["detail"]
            if isinstance(event["detail"], str)
            else json.dumps(event["detail"])
            if event["detail"]
            else ""
        )
        table.add_row(event["at"][11:23], f"{event['after_s']:.3f}", event["who"], event["what"], detail)
    out.print(table)
