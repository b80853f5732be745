# SPDX-License-Identifier: Apache-2.0
"""`alto keys`: what tokens and stored secrets are sealed with, and replacing it."""

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, log_in, request
from altostratus.cli.screen import fail, out, say

app = typer.Typer(help="What tokens and stored secrets are sealed with; replace it.", no_args_is_help=True)
_WAIT_S = 120.0
_USES = {"fernet": "tokens", "jws": "signed tokens", "credentials": "stored secrets"}


@app.command("list")
def list_keys() -> None:
    """List the keys: what they are for, how old they are, which ones are in use."""
    shown = _ask("GET", "")
    table = Table("for", "number", "made at (UTC)", "state")
    for key in shown["keys"]:
        used = [other["number"] for other in shown["keys"] if other["ring"] == key["ring"] and other["in_use"]]
        coming = used and key["number"] > used[0]
        state = "in use" if key["in_use"] else "in use soon" if coming else "opens what it sealed"
        table.add_row(_USES[key["ring"]], str(key["number"]), key["made_at"][:19], state)
    out.print(table)
    if shown["secrets_behind"]:
        say(f"{shown['secrets_behind']} stored secrets are still sealed with an older key.")


@app.command()
def rotate(
    credentials: Annotated[
        bool, typer.Option("--credentials", help="the key of stored secrets instead; seals them all anew")
    ] = False,
) -> None:
    """Make a new key for tokens. Nobody is logged out: older keys open what they sealed."""
    made = _ask("POST", f"/{'credentials' if credentials else 'tokens'}/rotate")["keys"]
    for key in made:
        say(f"New key {key['number']} for {_USES[key['ring']]}; it is in use in two seconds.")
    if credentials:
        _wait_for_secrets(made[0]["number"])
        say("All stored secrets are sealed with it. Older keys are dropped in an hour, when nothing can need them.")


def _wait_for_secrets(number: int) -> None:
    """The control process does the work, and goes on with it after a restart; this only looks."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            shown = _ask("GET", "")
        except OSError:
            continue  # it is being started again
        used = any(key["ring"] == "credentials" and key["in_use"] and key["number"] >= number for key in shown["keys"])
        if used and not shown["secrets_behind"]:
            return
    fail("stored secrets are still being sealed anew; nothing is lost. Look again with: alto keys list")


def _ask(method: str, path: str) -> Any:
    paths, options = demand_running()
    token, _ = log_in(paths, options)
    url = f"{base_url(options)}/alto/v1/keys{path}"
    status, _, shown = request(method, url, headers={"X-Auth-Token": token})
    if status >= 400:
        fail(shown["error"]["message"] if isinstance(shown, dict) else str(shown))
    return shown
