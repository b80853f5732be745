# SPDX-License-Identifier: Apache-2.0
"""`alto openrc`, `clouds-yaml`, `ssh`."""

import json
import os
from typing import Annotated

import typer

from altostratus.app.options import base_url
from altostratus.cli.place import demand_running, find_place, log_in, passwords, request
from altostratus.cli.screen import fail

UserArgument = Annotated[str, typer.Argument(help="user: admin or demo, or any other (then OS_PASSWORD is asked for)")]
ProjectArgument = Annotated[str, typer.Argument(help="project; empty: the one with the user's name")]


def openrc(user: UserArgument = "admin", project: ProjectArgument = "") -> None:
    """Print shell variables for OpenStack clients. Use: eval "$(alto openrc admin)"."""
    paths, options = find_place()
    known = passwords(paths)
    values = {
        "OS_AUTH_URL": base_url(options) + "/identity/v3",
        "OS_USERNAME": user,
        "OS_PROJECT_NAME": project or user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": options.region,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_AUTH_TYPE": "password",
        "OS_INTERFACE": "public",
    }
    if user in known:
        values["OS_PASSWORD"] = known[user]
    lines = [f"export {name}={_quoted(value)}" for name, value in values.items()]
    if user not in known:
        ask = f'printf "Password of {user}: " >&2; read -r OS_PASSWORD; export OS_PASSWORD'
        lines.append(f'[ -n "${{OS_PASSWORD:-}}" ] || {{ {ask}; }}')
    typer.echo("\n".join(lines))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def clouds_yaml() -> None:
    """Print a clouds.yaml with the clouds `altostratus` (admin) and `altostratus-demo`."""
    paths, options = find_place()
    clouds = {}
    for name, user in (("altostratus", "admin"), ("altostratus-demo", "demo")):
        clouds[name] = {
            "auth": {
                "auth_url": base_url(options) + "/identity/v3",
                "username": user,
                "password": passwords(paths)[user],
                "project_name": user,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": options.region,
            "interface": "public",
            "identity_api_version": 3,
        }
    # JSON is YAML, too
    typer.echo(json.dumps({"clouds": clouds}, indent=2))


def ssh(
    server: Annotated[str, typer.Argument(help="name or id of the server")],
    command: Annotated[list[str] | None, typer.Argument(help="what to run there; nothing: a shell")] = None,
    user: Annotated[str, typer.Option("--login", "-l", help="user in the guest")] = "cirros",
    identity: Annotated[str, typer.Option("--identity", "-i", help="private key file")] = "",
) -> None:
    """Log in to a server by its floating IP, from inside the cloud's own network namespace."""
    paths, options = demand_running()
    address = _address_of(paths, options, server)
    argv = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    key = identity or str(paths.state / "demo" / "demo.pem")
    if os.path.exists(key):
        argv += ["-i", key]
    world = ["ip", "netns", "exec", f"alto-{paths.tag}-world"]
    if os.geteuid() != 0:
        fail("entering the cloud's network namespace needs root. Run: sudo ./alto ssh ...")
    os.execvp(world[0], [*world, *argv, f"{user}@{address}", *(command or [])])  # noqa: S606  (no shell is wanted)


def _address_of(paths, options, server: str) -> str:  # type: ignore[no-untyped-def]
    token, _ = log_in(paths, options)
    headers = {"X-Auth-Token": token}
    url = base_url(options) + "/compute/v2.1/servers/detail?all_tenants=1"
    _, _, shown = request("GET", url, headers=headers)
    found = [one for one in shown["servers"] if server in (one["id"], one["name"])]
    if not found:
        fail(f"there is no server {server}. Known: {', '.join(one['name'] for one in shown['servers']) or 'none'}")
    if len(found) > 1:
        fail(f"several servers are called {server}; use an id: {', '.join(one['id'] for one in found)}")
    addresses = [one for many in found[0]["addresses"].values() for one in many]
    floating = [one["addr"] for one in addresses if one.get("OS-EXT-IPS:type") == "floating"]
    if not floating:
        fail(
            f"{server} has no floating IP. Give it one: openstack floating ip create public; "
            f"openstack server add floating ip {server} ADDRESS"
        )
    return str(floating[0])
