# SPDX-License-Identifier: Apache-2.0
"""A cloud of our own for measuring and for tests: empty state directory, free port, simulated hosts."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from altostratus.app.options import Paths

CONFIG = """[cloud]
port = {port}
console_port = {console_port}
hypervisor = "{kind}"
network = "{network}"
volume = "{volume}"
host = "bench-host"
"""


class PrivateCloud:
    """`with PrivateCloud() as cloud: cloud.call("GET", "/compute/v2.1/servers")`."""

    def __init__(self, *, simulated: bool = True, config: str = "") -> None:
        self.state = Path(tempfile.mkdtemp(prefix="alto-"))
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port, self.console_port = probe.getsockname()[1], other.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        drivers = ("fake", "fake", "fake") if simulated else ("qemu", "linuxbridge", "file")
        text = CONFIG.format(
            port=self.port, console_port=self.console_port, kind=drivers[0], network=drivers[1], volume=drivers[2]
        )
        text += config
        (self.state / "altostratus.toml").write_text(text)
        self.paths = Paths(self.state)
        self.environment = os.environ | {"ALTO_STATE": str(self.state)}
        self.token = ""
        self.start_s = 0.0

    def __enter__(self) -> Self:
        started = time.monotonic()
        try:
            self.alto("up")
            self.start_s = time.monotonic() - started
            self.token = self.log_in("admin", "admin")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "altostratus.cli.main", "down", "--purge"],
            env=self.environment,
            capture_output=True,
            check=False,
        )
        shutil.rmtree(self.state, ignore_errors=True)

    def alto(self, *arguments: str) -> str:
        """Run the command against this cloud; its standard output. Raises RuntimeError with what it said."""
        argv = [sys.executable, "-m", "altostratus.cli.main", *arguments]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            log = self.state / "log" / "control.log"
            tail = "\n".join(log.read_text().splitlines()[-30:]) if log.exists() else ""
            raise RuntimeError(f"alto {' '.join(arguments)}: {done.stdout}{done.stderr}\n{tail}")
        return done.stdout

    @property
    def passwords(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.state / "passwords.json").read_text())
        return found

    def log_in(self, user: str, project: str, password: str | None = None) -> str:
        _, headers, _ = self.request(
            "POST", "/identity/v3/auth/tokens", self.login_body(user, project, password), token=""
        )
        return headers["x-subject-token"]

    def login_body(self, user: str, project: str, password: str | None = None) -> dict[str, Any]:
        who = {"name": user, "domain": {"id": "default"}, "password": password or self.passwords[user]}
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        return {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}}

    def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, data: bytes | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """(status, headers in lower case, JSON). Raises RuntimeError for a refusal."""
        headers = {"Content-Type": "application/octet-stream" if data is not None else "application/json"}
        if chosen := self.token if token is None else token:
            headers["X-Auth-Token"] = chosen
        sent = data if data is not None else None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data=sent, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=120) as reply:
                content = reply.read()
                names = {name.lower(): value for name, value in reply.headers.items()}
                return reply.status, names, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"{method} {path} answered {error.code}: {error.read().decode(errors='replace')}"
            ) from None

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        return self.request(method, path, body, **options)[2]

    def processes(self) -> dict[str, int]:
        """Pids by name."""
        found = {path.stem: int(path.read_text()) for path in (self.state / "run").glob("*.pid")}
        found["supervisor"] = int((self.state / "run" / "supervisor.lock").read_text())
        return found

    def memory_mib(self) -> dict[str, float]:
        """PSS by process."""
        shown = {}
        for name, pid in self.processes().items():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    shown[name] = int(line.split()[1]) / 1024
        return shown
