# SPDX-License-Identifier: Apache-2.0
"""Which cloud is meant, whether it is running, and how to speak with it over HTTP."""

import fcntl
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from altostratus.app.files import load_options
from altostratus.app.options import CloudOptions, Paths, base_url, default_state_dir
from altostratus.cli.screen import fail
from altostratus.kernel.config import ConfigError

Answer = tuple[int, dict[str, str], Any]


def find_place() -> tuple[Paths, CloudOptions]:
    """The cloud of this user (or `$ALTO_STATE`). Ends the command when its configuration is broken."""
    paths = Paths(default_state_dir())
    try:
        return paths, load_options(paths)
    except ConfigError as error:
        fail(str(error))


def running_pid(paths: Paths) -> int | None:
    """The supervisor's pid if it lives: it holds a lock for as long as it does."""
    lock = paths.run / "supervisor.lock"
    try:
        with lock.open("r+") as handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(handle.read().strip() or 0) or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        fail(f"{lock} belongs to another user. Run the command as that user, or with sudo.")
    return None


def policy_problems(paths: Paths) -> list[str]:
    """What is wrong in policy files; the rules of every service are loaded for it, in a process of its own."""
    argv = [sys.executable, "-m", "altostratus.app.policy_state"]
    environment = os.environ | {"ALTO_STATE": str(paths.state)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode != 0 else []


def demand_running() -> tuple[Paths, CloudOptions]:
    """Ends the command with advice when the cloud is not up."""
    paths, options = find_place()
    if running_pid(paths) is None:
        fail(f"the cloud in {paths.state} is not running. Start it with: alto up")
    return paths, options


def passwords(paths: Paths) -> dict[str, str]:
    path = paths.state / "passwords.json"
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        fail(f"there is no cloud in {paths.state} yet. Make one with: alto up")
    except PermissionError:
        fail(f"{path} may be read by its owner only. Run the command as that user, or with sudo.")
    return found


def request(
    method: str, url: str, body: Any = None, headers: dict[str, str] | None = None, timeout_s: float = 30
) -> Answer:
    """(status, headers in lower case, JSON). Raises OSError when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "Accept": "application/json"} | (headers or {})
    asked = urllib.request.Request(url, data=data, headers=sent, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s) as reply:
            return reply.status, _lower(reply.headers), _json(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, _lower(error.headers), _json(error.read())


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode(errors="replace")


def log_in(
    paths: Paths, options: CloudOptions, user: str = "admin", project: str = "admin"
) -> tuple[str, dict[str, Any]]:
    """(token, its description with the catalog)."""
    who = {"name": user, "domain": {"id": "default"}, "password": passwords(paths)[user]}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": who}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}},
        }
    }
    status, headers, shown = request("POST", base_url(options) + "/identity/v3/auth/tokens", body)
    if status != 201:
        fail(f"could not log in as {user}: {status} {shown}")
    return headers["x-subject-token"], shown["token"]


def log_file(paths: Paths, name: str) -> Path:
    return paths.logs / f"{name}.log"
