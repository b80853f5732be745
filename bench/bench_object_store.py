# SPDX-License-Identifier: Apache-2.0
"""The object store beside upstream's, dd and nginx; one replica, everything flushed. See README.md."""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, run
from typing import Any, NamedTuple

from bench_api import log, run_wrk
from large_uploads import rate_of_uploads
from object_store_sizes import compare_sizes, pass_large
from plain_server import PlainServer, find_nginx
from rich.console import Console
from rich.table import Table
from upstream_swift import UpstreamSwift, why_not

from altostratus.testing.private_cloud import PrivateCloud

SMALL, LARGE = 4096, 10_000_000
OBJECTS = {SMALL: 500, LARGE: 16}
TICKS_S = os.sysconf("SC_CLK_TCK")
# a measured rate (requests a second) for so many connections and seconds
Load = Callable[[int, float], float]


class Store(NamedTuple):
    """A container, of ours or of upstream's, and the headers of who may use it."""

    url: str
    container: str
    headers: dict[str, str]

    def send(self, path: str, data: bytes) -> None:
        """Raises HTTPError for a refusal."""
        headers = self.headers | {"Content-Type": "application/octet-stream"}
        asked = urllib.request.Request(self.url + path, data=data, headers=headers, method="PUT")
        with urllib.request.urlopen(asked, timeout=120) as reply:
            reply.read()


class Row(NamedTuple):
    """Upstream's figures at 1 and 8 connections, taken once. The goal is a multiple, or a share of the reference."""

    name: str
    size: int
    load: Callable[[Store, int], Load]
    upstream: tuple[float, float]
    goal: float
    reference: Load | None = None
    beside: str = ""


class Bench:
    """A cloud with one container, plain files on the same disk, and if wanted upstream's Swift with a container too."""

    def __init__(
        self,
        cloud: PrivateCloud,
        files: Path,
        plain: PlainServer,
        upstream: UpstreamSwift | None = None,
        *,
        by_wrk: bool = False,
    ) -> None:
        """by_wrk: large uploads, too."""
        self.cloud, self.files, self.plain, self.by_wrk = cloud, files, plain, by_wrk
        shown = cloud.call("POST", "/identity/v3/auth/tokens", cloud.login_body("admin", "admin"), token="")["token"]
        self.account = f"/object-store/v1/AUTH_{shown['project']['id']}"
        self.ours = Store(cloud.url, f"{self.account}/bench", {"X-Auth-Token": cloud.token})
        self.upstream = Store(upstream.url, f"{upstream.account}/bench", upstream.headers) if upstream else None
        self._runs = 0
        self._sources = {size: files / f"source-{size}" for size in (SMALL, LARGE)}
        for size, path in self._sources.items():
            path.write_bytes(random.Random(size).randbytes(size))

    def fill(self) -> None:
        for store in (self.ours, self.upstream) if self.upstream else (self.ours,):
            store.send(store.container, b"")
            for size, count in OBJECTS.items():
                data = self._sources[size].read_bytes()
                for number in range(1, count + 1):
                    store.send(f"{store.container}/{size}-{number}", data)
        for number in range(1, OBJECTS[LARGE] + 1):
            shutil.copy(self._sources[LARGE], self.files / f"{LARGE}-{number}")

    def rows(self) -> list[Row]:
        put_large = self.put if self.by_wrk else self.put_large
        return [
            Row("PUT of 4 KB", SMALL, self.put, (65, 147), 10),
            Row("GET of 4 KB", SMALL, self.get, (123, 219), 10),
            Row("PUT of 10 MB", LARGE, put_large, (19.0, 32.3), 0.7, self.copies, "dd"),
            Row("GET of 10 MB", LARGE, self.get, (28.0, 36.2), 0.7, self.plain_get, "nginx"),
        ]

    def put(self, store: Store, size: int) -> Load:
        """New objects, each of a name of its own."""

        def load(connections: int, seconds: float) -> float:
            self._runs += 1
            name = f"{store.container}/{self._runs}-"
            script = (
                f"local body, n = io.open({json.dumps(str(self._sources[size]))}, 'rb'):read('*a'), 0\n"
                "request = function()\n  n = n + 1\n"
                f"  return wrk.format('PUT', {json.dumps(name)} .. n, nil, body)\nend\n"
            )
            return run_wrk(store.url, script, store.headers, connections, seconds)["rps"]

        return load

    def put_large(self, store: Store, size: int) -> Load:
        def load(connections: int, seconds: float) -> float:
            self._runs += 1
            url = f"{store.url}{store.container}/{self._runs}-"
            return rate_of_uploads(url, store.headers, self._sources[size], connections, seconds)

        return load

    def get(self, store: Store, size: int) -> Load:
        script = _any_of(f"{store.container}/{size}-", OBJECTS[size])
        return lambda connections, seconds: run_wrk(store.url, script, store.headers, connections, seconds)["rps"]

    def plain_get(self, connections: int, seconds: float) -> float:
        return run_wrk(self.plain.url, _any_of(f"/{LARGE}-", OBJECTS[LARGE]), {}, connections, seconds)["rps"]

    def copies(self, at_once: int, seconds: float) -> float:
        """Files a second that so many loops of `dd` write, each flushed at its end."""
        until = time.monotonic() + seconds
        with tempfile.TemporaryDirectory(dir=self.files) as place:

            def loop(number: int) -> int:
                done = 0
                while time.monotonic() < until:
                    target = f"{place}/{number}-{done}"
                    argv = ["dd", f"if={self._sources[LARGE]}", f"of={target}", "bs=1M", "conv=fsync"]
                    run(argv, stderr=DEVNULL, check=True)
                    done += 1
                return done

            started = time.monotonic()
            with ThreadPoolExecutor(at_once) as pool:
                count = sum(pool.map(loop, range(at_once)))
            return count / (time.monotonic() - started)

    def cpu_s(self) -> float:
        """That the control process has used so far."""
        fields = Path(f"/proc/{self.cloud.processes()['control']}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S


def _any_of(prefix: str, count: int) -> str:
    return f"request = function() return wrk.format('GET', {json.dumps(prefix)} .. math.random({count})) end\n"


def measure(bench: Bench, seconds: float, repeats: int, only: list[str]) -> dict[str, Any]:
    """By row and number of connections: medians; ours, the reference and upstream in turns."""
    found: dict[str, Any] = {}
    for row in bench.rows():
        if only and not any(row.name.startswith(name) for name in only):
            continue
        for store in filter(None, (bench.ours, bench.upstream)):
            row.load(store, row.size)(4, 1)
        shown: dict[str, Any] = {"goal": row.goal, "beside": row.beside}
        for connections, known in zip((1, 8), row.upstream, strict=True):
            runs = [_turn(bench, row, connections, seconds) for _ in range(repeats)]
            rate, cpu_ms, reference, measured = (median(run[place] for run in runs) for place in range(4))
            upstream = measured if bench.upstream else known
            shown[str(connections)] = {
                "rps": rate, "mb_s": rate * row.size / 1e6, "cpu_ms": cpu_ms, "upstream_rps": upstream,
                "times_upstream": rate / upstream, "reference_rps": reference,
                "share": rate / reference if reference else None, "runs": runs,
            }  # fmt: skip
        found[row.name] = shown
        rates = " / ".join(f"{shown[count]['rps']:.0f}" for count in ("1", "8"))
        log(f"{row.name}: {rates} a second")
    return found


def _turn(bench: Bench, row: Row, connections: int, seconds: float) -> tuple[float, float, float, float]:
    """(rate, milliseconds of CPU a request, rate of the reference or 0, rate of upstream or 0)"""
    before = bench.cpu_s()
    rate = row.load(bench.ours, row.size)(connections, seconds)
    cpu_ms = 1000 * (bench.cpu_s() - before) / max(1.0, rate * seconds)
    reference = row.reference(connections, seconds) if row.reference else 0.0
    upstream = row.load(bench.upstream, row.size)(connections, seconds) if bench.upstream else 0.0
    return rate, cpu_ms, reference, upstream


def show(found: dict[str, Any], upstream: str) -> bool:
    """Print the table, upstream's column under that title; is every goal reached?

    Small objects have theirs at 8 connections, large ones at both.
    """
    table = Table("request", "at", "a second", "MB/s", "CPU ms", upstream, "times it", "beside", "share", "goal")
    good = True
    for name, row in found.items():
        for count in ("1", "8"):
            one, text = row[count], ""
            if row["beside"] or count == "8":
                reached = (one["share"] if row["beside"] else one["times_upstream"]) >= row["goal"]
                good = good and reached
                wanted = f"{row['goal']:.0%}" if row["beside"] else f"{row['goal']} times"
                text = f"{wanted} {'reached' if reached else 'missed'}"
            table.add_row(
                name, count, f"{one['rps']:.0f}", f"{one['mb_s']:.0f}", f"{one['cpu_ms']:.2f}",
                f"{one['upstream_rps']:.0f}", f"{one['times_upstream']:.1f}",
                f"{row['beside']} {one['reference_rps']:.0f}" if row["beside"] else "",
                f"{one['share']:.0%}" if row["beside"] else "", text,
            )  # fmt: skip
    Console(width=120).print(table)
    return good


def sizes(objects: int | None, gigabytes: int | None) -> bool:
    good = True
    with tempfile.TemporaryDirectory(prefix="alto-plain-") as name, PrivateCloud() as cloud:
        account = Bench(cloud, Path(name), PlainServer(Path(name))).account
        if objects:
            good = compare_sizes(cloud, account, objects)
        if gigabytes:
            good = pass_large(cloud, account, gigabytes) and good
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="rows that begin so, with commas between them")
    parser.add_argument("--wrk", action="store_true", help="send large uploads by wrk, too")
    parser.add_argument("--upstream", type=Path, metavar="VENV", help="measure the Swift that is installed there too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--many", type=int, metavar="OBJECTS", help="only: a container of so many beside one of 1000")
    parser.add_argument("--large", type=int, metavar="GIB", help="only: so much up and down; memory of the cloud")
    options = parser.parse_args()
    if options.many or options.large:
        return 0 if sizes(options.many, options.large) else 1
    if shutil.which("wrk") is None or find_nginx() is None:
        log("wrk and nginx are needed: apt-get install wrk nginx-light")
        return 2
    if options.upstream and (reason := why_not(options.upstream)):
        log(reason)
        return 2
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alto-plain-")))
        files.chmod(0o755)
        cloud, plain = stack.enter_context(PrivateCloud()), stack.enter_context(PlainServer(files))
        upstream = stack.enter_context(UpstreamSwift(options.upstream)) if options.upstream else None
        bench = Bench(cloud, files, plain, upstream, by_wrk=options.wrk)
        bench.fill()
        found = measure(bench, options.duration, options.repeats, [one for one in options.only.split(",") if one])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if show(found, "upstream now" if options.upstream else "upstream once") else 1


if __name__ == "__main__":
    sys.exit(main())
