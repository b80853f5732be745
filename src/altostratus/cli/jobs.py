# SPDX-License-Identifier: Apache-2.0
"""`alto jobs`: what the cloud is working on, and mending what is stuck."""

from typing import Annotated

import typer
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out, say

app = typer.Typer(help="What the cloud is working on; mend what is stuck.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(help="id of the job")]


@app.command("list")
def list_jobs(
    every: Annotated[bool, typer.Option("--all", help="ended ones too")] = False,
) -> None:
    """List unfinished jobs, or all that are remembered."""
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    url = base_url(options) + "/alto/v1/jobs" + ("?all=true" if every else "")
    _, _, shown = request("GET", url, headers={"X-Auth-Token": token})
    table = Table("id", "kind", "resource", "state", "step", "tries", "error")
    for job in shown["jobs"]:
        step = ("undo " if job["undoing"] else "") + job["step"]
        table.add_row(
            job["id"], job["kind"], job["resource_id"], job["state"], step, str(job["attempts"]), job["error"] or ""
        )
    out.print(table)


@app.command()
def retry(job: JobId) -> None:
    """Try a stuck job again from the step where it stopped."""
    _mend(job, "retry")


@app.command()
def skip(job: JobId) -> None:
    """Let a stuck job go on as if its current step had succeeded."""
    _mend(job, "skip")


@app.command()
def abandon(job: JobId) -> None:
    """End a stuck job; its resource stays in ERROR and can be deleted."""
    _mend(job, "abandon")


def _mend(job: str, how: str) -> None:
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    url = f"{base_url(options)}/alto/v1/jobs/{job}/{how}"
    status, _, shown = request("POST", url, {}, headers={"X-Auth-Token": token})
    if status >= 400:
        fail(shown["error"]["message"] if isinstance(shown, dict) else str(shown))
    say(f"{how}: done")
