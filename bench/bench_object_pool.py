# SPDX-License-Identifier: Apache-2.0
"""Objects in a pool of Ceph: the driver, and the whole cloud, beside `rados bench` on the same pool. See README.md."""

import argparse
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench_api import log, run_wrk
from rich.console import Console
from rich.table import Table

from altostratus.drivers.object_store.rados import Connection, RadosStore
from altostratus.drivers.object_store.rados.layout import PIECE_BYTES
from altostratus.testing.private_ceph import POOL, PrivateCeph, load_library, why_not
from altostratus.testing.private_cloud import PrivateCloud

SMALL, LARGE = 4096, 10_000_000
COUNTS = {SMALL: 500, LARGE: 16}
CONFIG = '\nobjects = "rados"\n[rados]\nconf = "{conf}"\n'
# bytes a second of so many clients
Load = Callable[[int, float], float]


class Bench:
    """A cloud and a driver of our own on one pool, filled with objects to read."""

    def __init__(self, ceph: PrivateCeph, cloud: PrivateCloud, place: Path) -> None:
        self.ceph, self.cloud, self.place = ceph, cloud, place
        self.store = RadosStore(Connection(ceph.options))
        shown = cloud.call("POST", "/identity/v3/auth/tokens", cloud.login_body("admin", "admin"), token="")["token"]
        self.container = f"/object-store/v1/AUTH_{shown['project']['id']}/bench"
        cloud.call("PUT", self.container, data=b"")
        self.blobs: dict[int, list[str]] = {}
        self._runs = 0
        for size, count in COUNTS.items():
            data = os.urandom(size)
            (place / str(size)).write_bytes(data)
            self.blobs[size] = [self._write(data) for _ in range(count)]
            for number in range(1, count + 1):
                cloud.call("PUT", f"{self.container}/{size}-{number}", data=data)

    def loads(self) -> dict[str, tuple[int, Load, Load, Load]]:
        """Row: (bytes, rados bench, the driver, the cloud)."""
        return {
            "PUT of 4 KB": (SMALL, self.reference("write", SMALL), self.writes(SMALL), self.puts(SMALL)),
            "GET of 4 KB": (SMALL, self.reference("rand", SMALL), self.reads(SMALL), self.gets(SMALL)),
            "PUT of 10 MB": (LARGE, self.reference("write", LARGE), self.writes(LARGE), self.puts(LARGE)),
            "GET of 10 MB": (LARGE, self.reference("seq", LARGE), self.reads(LARGE), self.gets(LARGE)),
        }

    def reference(self, kind: str, size: int) -> Load:
        """Objects of 4 KB, one for each client; or pieces of 4 MiB, of which a client has three under way."""
        block, each = (size, 1) if size == SMALL else (PIECE_BYTES, 3)

        def load(clients: int, seconds: float) -> float:
            common = ("-n", "client.admin", "-p", POOL)
            words = ("-t", str(clients * each), "--run-name", f"{kind}-{size}")
            write = ("bench", str(round(seconds)), "write", "-b", str(block), "--no-cleanup", *words)
            said = self.ceph.run("rados", *common, *write)
            if kind != "write":
                said = self.ceph.run("rados", *common, "bench", str(round(seconds)), kind, *words)
            self.ceph.run("rados", *common, "cleanup", "--run-name", f"{kind}-{size}")
            found = re.search(r"Bandwidth \(MB/sec\):\s+([\d.]+)", said)
            if found is None:
                raise RuntimeError(said)
            return float(found[1]) * (1 << 20)

        return load

    def writes(self, size: int) -> Load:
        data = (self.place / str(size)).read_bytes()
        return _loop(size, lambda _number: self._write(data))

    def reads(self, size: int) -> Load:
        def read(number: int) -> None:
            for _ in self.store.read(self.blobs[size][number % len(self.blobs[size])]):
                pass

        return _loop(size, read)

    def puts(self, size: int) -> Load:
        def load(clients: int, seconds: float) -> float:
            self._runs += 1
            script = (
                f"local body, n = io.open({json.dumps(str(self.place / str(size)))}, 'rb'):read('*a'), 0\n"
                "request = function()\n  n = n + 1\n"
                f"  return wrk.format('PUT', '{self.container}/run{self._runs}-' .. n, nil, body)\nend\n"
            )
            return self._wrk(script, clients, seconds) * size

        return load

    def gets(self, size: int) -> Load:
        name = f"'{self.container}/{size}-' .. math.random({COUNTS[size]})"
        script = f"request = function() return wrk.format('GET', {name}) end\n"
        return lambda clients, seconds: self._wrk(script, clients, seconds) * size

    def _wrk(self, script: str, clients: int, seconds: float) -> float:
        return run_wrk(self.cloud.url, script, {"X-Auth-Token": self.cloud.token}, clients, seconds)["rps"]

    def _write(self, data: bytes) -> str:
        blob = self.store.write(io.BytesIO(data), expected_size=len(data))
        self.store.settle(blob.id)
        return blob.id


def _loop(size: int, act: Callable[[int], object]) -> Load:
    def load(clients: int, seconds: float) -> float:
        until = time.monotonic() + seconds

        def loop(number: int) -> int:
            done = 0
            while time.monotonic() < until:
                act(number + done)
                done += 1
            return done

        started = time.monotonic()
        with ThreadPoolExecutor(clients) as threads:
            count = sum(threads.map(loop, range(clients)))
        return count * size / (time.monotonic() - started)

    return load


def measure(bench: Bench, seconds: float, repeats: int) -> Table:
    table = Table("request", "at", "rados bench", "driver", "share", "cloud", "share")
    for name, (size, *loads) in bench.loads().items():
        for clients in (1, 8):
            runs = [[load(clients, seconds) for load in loads] for _ in range(repeats)]
            reference, driver, cloud = (median(run[place] for run in runs) for place in range(3))
            unit, scale = ("/s", size) if size == SMALL else (" MB/s", 1e6)
            shown = [f"{rate / scale:.0f}{unit}" for rate in (reference, driver, cloud)]
            shares = [f"{rate / reference:.0%}" for rate in (driver, cloud)]
            table.add_row(name, str(clients), shown[0], shown[1], shares[0], shown[2], shares[1])
            log(f"{name} at {clients}: {', '.join(shown)}")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if reason := why_not():
        log(reason)
        return 2
    load_library()
    with tempfile.TemporaryDirectory(prefix="alto-ceph-") as name:
        place = Path(name)
        with PrivateCeph(place, disk_bytes=40 << 30) as ceph:
            for path in (place, place / "keyring"):
                path.chmod(0o755)  # the control process has an id of its own
            cloud = PrivateCloud(config=CONFIG.format(conf=ceph.conf))
            cloud.environment |= ceph.environment()
            with cloud:
                table = measure(Bench(ceph, cloud, place), options.duration, options.repeats)
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
