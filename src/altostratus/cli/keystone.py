# SPDX-License-Identifier: Apache-2.0
"""`alto keystone`: words of the client that upstream has removed, for those whose fingers and scripts remember it."""

import typer
from rich import box
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out

app = typer.Typer(help="Words of the old keystone client. New scripts use: openstack", no_args_is_help=True)


@app.command("tenant-list")
def tenant_list() -> None:
    """Projects, which were called tenants: id, name, enabled. Today: openstack project list."""
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    url = f"{base_url(options)}/identity/v3/projects"
    status, _, shown = request("GET", url, headers={"X-Auth-Token": token})
    if status != 200:
        fail(f"the list of projects was refused with {status}: {shown}")
    table = Table("id", "name", "enabled", box=box.ASCII_DOUBLE_HEAD)
    for one in sorted(shown["projects"], key=lambda project: str(project["name"])):
        table.add_row(one["id"], one["name"], str(one["enabled"]))
    out.print(table)


@app.callback()
def keystone() -> None:
    """Words of the old keystone client."""
