# SPDX-License-Identifier: Apache-2.0
"""Upstream's Swift as it comes, for comparison: one replica in one directory, tempauth, memcached, all on loopback.

Its options are the defaults (so it flushes what it acknowledges, and has a worker for each processor; one was slower
and more were not faster), its middleware is that of its sample configuration, none of its background daemons runs.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_DAEMONS = ("account", "container", "object", "proxy")
_COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {work}
devices = {work}/disks
mount_check = false
user = {user}

[app:{daemon}-server]
use = egg:swift#{daemon}
account_autocreate = true

[filter:recon]
use = egg:swift#recon
recon_cache_path = {work}

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}

[filter:tempauth]
use = egg:swift#tempauth
user_bench_bench = bench .admin
"""
_PIPELINES = {
    "proxy": (
        "catch_errors gatekeeper healthcheck proxy_logging cache listing_formats container_sync bulk tempurl ratelimit "
        "tempauth copy container_quotas account_quotas slo dlo versioned_writes symlink proxy_logging"
    )
} | dict.fromkeys(_DAEMONS[:3], "healthcheck recon")


def why_not(venv: Path) -> str | None:
    """What is missing to start it with the Swift that is installed in `venv`, and how to get it."""
    if not (venv / "bin" / "swift-proxy-server").exists():
        return f"there is no Swift in {venv}: python3 -m venv {venv} && {venv}/bin/pip install swift"
    return None if shutil.which("memcached") else "memcached is needed: apt-get install memcached"


class UpstreamSwift:
    """`with UpstreamSwift(venv) as swift: swift.url, swift.account, swift.headers`"""

    def __init__(self, venv: Path) -> None:
        """Raises RuntimeError if something is missing."""
        if reason := why_not(venv):
            raise RuntimeError(reason)
        self._programs = venv / "bin"
        self._work = Path(tempfile.mkdtemp(prefix="alto-swift-"))
        self._ports = dict(zip((*_DAEMONS, "memcached"), _free_ports(len(_DAEMONS) + 1), strict=True))
        self._started: list[subprocess.Popen[bytes]] = []
        self.url = f"http://127.0.0.1:{self._ports['proxy']}"
        self.account = "/v1/AUTH_bench"
        self.headers: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._configure()
            memcached = ["-l", "127.0.0.1", "-p", str(self._ports["memcached"]), "-u", getpass.getuser()]
            self._start("memcached", [shutil.which("memcached") or "memcached", *memcached])
            for daemon in _DAEMONS:
                program = self._programs / f"swift-{daemon}-server"
                self._start(daemon, [str(program), str(self._work / f"{daemon}.conf")])
            asked = urllib.request.Request(
                f"{self.url}/auth/v1.0", headers={"X-Auth-User": "bench:bench", "X-Auth-Key": "bench"}
            )
            with urllib.request.urlopen(asked, timeout=30) as reply:
                self.headers = {"X-Auth-Token": reply.headers["X-Auth-Token"]}
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every daemon with its workers: each has a process group of its own."""
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        shutil.rmtree(self._work, ignore_errors=True)

    def _configure(self) -> None:
        (self._work / "disks" / "disk").mkdir(parents=True)
        (self._work / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = bench\n")
        for daemon in _DAEMONS:
            text = _COMMON.format(
                port=self._ports[daemon], memcached=self._ports["memcached"], work=self._work, daemon=daemon,
                user=getpass.getuser(),
            )  # fmt: skip
            filters = dict.fromkeys(_PIPELINES[daemon].split())
            text += "".join(f"\n[filter:{one}]\nuse = egg:swift#{one}\n" for one in filters if f":{one}]" not in text)
            text += f"\n[pipeline:main]\npipeline = {_PIPELINES[daemon]} {daemon}-server\n"
            (self._work / f"{daemon}.conf").write_text(text)
        for kind in _DAEMONS[:3]:
            self._make_ring(kind)

    def _make_ring(self, kind: str) -> None:
        """1024 partitions, one replica, one disk."""
        disk = f"r1z1-127.0.0.1:{self._ports[kind]}/disk"
        for step in (["create", "10", "1", "1"], ["add", disk, "1"], ["rebalance"]):
            argv = [str(self._programs / "swift-ring-builder"), str(self._work / f"{kind}.builder"), *step]
            subprocess.run(argv, capture_output=True, check=True)

    def _start(self, daemon: str, argv: list[str]) -> None:
        """Returns when it takes connections; raises RuntimeError with what it said if it does not."""
        log = self._work / f"{daemon}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
        self._started.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._ports[daemon]), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{argv[0]} does not start: {log.read_text()}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
