# SPDX-License-Identifier: Apache-2.0
"""`alto server`: what the official client has no word for."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out, say

app = typer.Typer(help="Quarantine of servers.", no_args_is_help=True)


@app.command()
def quarantine(
    server: Annotated[str, typer.Argument(help="name or id of a server of any project; none: list the cases")] = "",
    release: Annotated[bool, typer.Option("--release", help="let the traffic through again")] = False,
    reason: Annotated[str, typer.Option(help="why; kept with the case and in the log")] = "",
) -> None:
    """Drop all network traffic of a server, its console excepted; or release it; or list what is under quarantine."""
    if not server:
        _list()
    elif release:
        _ask("DELETE", f"/{quote(server, safe='')}?{urlencode({'reason': reason})}")
        say(f"{server} is released")
    else:
        body = {"quarantine": {"reason": reason or "not given"}}
        shown = _ask("PUT", f"/{quote(server, safe='')}", body)["quarantine"]
        say(f"{shown['server_name']} ({shown['server_id']}) is under quarantine; its console stays open")


def _list() -> None:
    table = Table("server", "name", "project", "since", "by", "reason")
    for one in _ask("GET", "")["quarantines"]:
        who = one["user_name"] or one["user_id"]
        table.add_row(one["server_id"], one["server_name"], one["project_id"], one["created_at"], who, one["reason"])
    out.print(table)


def _ask(method: str, path: str, body: Any = None) -> Any:
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    url = f"{base_url(options)}/alto/v1/quarantines{path}"
    status, _, shown = request(method, url, body, headers={"X-Auth-Token": token})
    if status >= 400:
        fail(shown["error"]["message"] if isinstance(shown, dict) else str(shown))
    return shown


@app.callback()
def server() -> None:
    """Quarantine of servers."""
