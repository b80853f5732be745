# SPDX-License-Identifier: Apache-2.0
"""The `alto` command: a whole OpenStack cloud on this machine."""

import os
import sys

import typer

from altostratus.cli import access, demo, doctor, explain, image, jobs, keys, keystone, lifecycle, ring, server, trace

app = typer.Typer(
    name="alto",
    help="A whole OpenStack cloud on this machine. Begin with: alto demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

app.command()(lifecycle.up)
app.command()(lifecycle.down)
app.command()(lifecycle.status)
app.command()(lifecycle.logs)
app.command()(demo.demo)
app.command()(access.openrc)
app.command("clouds-yaml")(access.clouds_yaml)
app.command()(access.ssh)
app.command()(trace.trace)
app.command()(doctor.doctor)
app.add_typer(jobs.app, name="jobs")
app.add_typer(explain.app, name="explain")
app.add_typer(image.app, name="image")
app.add_typer(keys.app, name="keys")
app.add_typer(keystone.app, name="keystone")
app.add_typer(ring.app, name="ring")
app.add_typer(server.app, name="server")


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False)
def policy(context: typer.Context) -> None:
    """Policy files, and sets of rules to apply (alto policy --help)."""
    # it knows the rules of every service: loaded here, these would make every other command slower
    os.execv(sys.executable, [sys.executable, "-m", "altostratus.cli.policy", *context.args])  # noqa: S606


def main() -> None:
    """Entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
