# SPDX-License-Identifier: Apache-2.0
"""Containers of any number of objects and objects of any size: for `bench_object_store.py --many` and `--large`."""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
from bench_api import log
from botocore.config import Config
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from altostratus.app.options import CloudOptions
from altostratus.kernel.db import Db, table_of
from altostratus.services.object_store.models import Container, StoredObject
from altostratus.testing.private_cloud import PrivateCloud

FEW = 1_000
MOST_TIMES, MOST_GROWTH_MIB = 2.0, 32.0
BATCH, ROUNDS, PAGE = 100_000, 31, 100
PIECE = os.urandom(1 << 20)


class Caller:
    """One connection, without what a client library costs."""

    def __init__(self, cloud: PrivateCloud, account: str) -> None:
        where = urlsplit(cloud.url)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=600)
        self._headers, self._account = {"X-Auth-Token": cloud.token}, account

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        """The reply, of which nothing was read."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, f"{self._account}/{path}", body, headers=self._headers | named)
        reply = self._connection.getresponse()
        if reply.status >= 400:
            raise RuntimeError(f"{method} {path} answered {reply.status}: {reply.read().decode(errors='replace')}")
        return reply

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> bytes:
        return self(method, path, body, **headers).read()

    def rest(self) -> None:
        """After a long pause the cloud has closed the connection; the next request makes another."""
        self._connection.close()


# many objects


class Filled(NamedTuple):
    """A container with so many objects: four of five below `deep/`, the others in 20 folders below `wide/`."""

    name: str
    objects: int


def fill(cloud: PrivateCloud, caller: Caller, container: Filled) -> None:
    """Rows straight into the database, made of that of an object that came by the front door."""
    caller.ask("PUT", container.name, b"")
    caller.ask("PUT", f"{container.name}/made", b"")
    started = time.monotonic()
    table = table_of(StoredObject)
    others = [column.name for column in table.columns if column.name != "name"]
    names = "CASE WHEN n % 5 THEN printf('deep/%08d', n) ELSE printf('wide/%02d/%08d', n / 5 % 20, n) END"
    text = (
        f"WITH RECURSIVE numbers(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?) "
        f"INSERT INTO {table.name} (name, {', '.join(others)}) "
        f"SELECT {names}, {', '.join(f'o.{one}' for one in others)} "
        f"FROM numbers, (SELECT * FROM {table.name} WHERE container_id = ? AND name = 'made') o"
    )
    db = Db(cloud.paths.database_url(CloudOptions()))
    rows = table_of(Container)
    with db.read() as tx:
        key = tx.scalar(select(rows.c.id).where(rows.c.name == container.name))
    for first in range(0, container.objects, BATCH):
        with db.write() as tx:
            tx.conn.exec_driver_sql(text, (first, min(first + BATCH, container.objects), key))
    with db.write() as tx:
        tx.update(Container, key, object_count=container.objects + 1)
    db.close()
    caller.rest()
    log(f"{container.objects} objects in {time.monotonic() - started:.0f} s")


def operations(cloud: PrivateCloud, caller: Caller, container: Filled) -> dict[str, Callable[[], Any]]:
    name, page = container.name, f"limit={PAGE}&format=json"
    middle = f"deep/{container.objects // 2:08d}"
    numbers = iter(range(1_000_000))
    made: list[str] = []

    def put() -> None:
        made.append(f"{name}/deep/new-{next(numbers)}")
        caller.ask("PUT", made[-1], b"")

    def listed(query: str) -> Callable[[], Any]:
        return lambda: caller.ask("GET", f"{name}?{page}&{query}")

    s3 = _s3(cloud)
    return {
        "first page": listed(""),
        "page from the middle": listed(f"marker={middle}"),
        "page backwards": listed(f"reverse=true&marker={middle}"),
        "page of a prefix": listed(f"prefix={middle[:-2]}"),
        "folders at the top": listed("delimiter=/"),
        "folders below one": listed("prefix=wide/&delimiter=/"),
        "S3 (v2), first page": lambda: s3.list_objects_v2(Bucket=name, MaxKeys=PAGE),
        "S3 (v2), folders": lambda: s3.list_objects_v2(Bucket=name, MaxKeys=PAGE, Delimiter="/"),
        "S3 (v2), folders after": lambda: s3.list_objects_v2(Bucket=name, MaxKeys=1, Delimiter="/", StartAfter="deep/"),
        "HEAD of the container": lambda: caller.ask("HEAD", name),
        "PUT": put,
        "DELETE": lambda: caller.ask("DELETE", made.pop()),
    }


def _s3(cloud: PrivateCloud) -> Any:
    token = cloud.call("POST", "/identity/v3/auth/tokens", cloud.login_body("admin", "admin"), token="")["token"]
    wanted = {"tenant_id": token["project"]["id"]}
    pair = cloud.call("POST", f"/identity/v3/users/{token['user']['id']}/credentials/OS-EC2", wanted)["credential"]
    return boto3.client(
        "s3", endpoint_url=f"{cloud.url}/object-store/s3", region_name="us-east-1", aws_access_key_id=pair["access"],
        aws_secret_access_key=pair["secret"], config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def compare_sizes(cloud: PrivateCloud, account: str, objects: int) -> bool:
    """Is everything as fast in the large container as in the small one, within a factor?"""
    caller = Caller(cloud, account)
    sizes = Filled("few", FEW), Filled("many", objects)
    for one in sizes:
        fill(cloud, caller, one)
    few, many = (operations(cloud, caller, one) for one in sizes)
    table, good = Table("operation", f"{FEW} objects, ms", f"{objects} objects, ms", "times", "goal"), True
    for name in few:
        times: tuple[list[float], list[float]] = [], []
        for _ in range(ROUNDS):
            for spent, act in zip(times, (few[name], many[name]), strict=True):
                started = time.perf_counter()
                act()
                spent.append(1000 * (time.perf_counter() - started))
        small, large = map(median, times)
        reached = large <= MOST_TIMES * small
        good = good and reached
        goal = f"{MOST_TIMES} {'reached' if reached else 'missed'}"
        table.add_row(name, f"{small:.2f}", f"{large:.2f}", f"{large / small:.1f}", goal)
    Console(width=120).print(table)
    return good


# large objects


def pass_large(cloud: PrivateCloud, account: str, gigabytes: int) -> bool:
    """Up in segments of 1 GB, joined, and down again; how much memory did the control process take?"""
    caller = Caller(cloud, account)
    caller.ask("PUT", "large", b"")
    for warm in range(3):
        caller.ask("PUT", f"large/warm-{warm}", PIECE)
        caller.ask("GET", f"large/warm-{warm}")
    before, most = _resident_mib(cloud), 0.0
    segment, manifest = 1 << 30, []
    started = time.monotonic()
    for number in range(gigabytes):
        caller.ask("PUT", f"large/segments/{number:03}", _pieces(segment), Content_Length=str(segment))
        manifest.append(f'{{"path": "/large/segments/{number:03}"}}')
        most = max(most, _resident_mib(cloud))
    caller.ask("PUT", "large/whole?multipart-manifest=put", f"[{','.join(manifest)}]".encode())
    up_s, started, got = time.monotonic() - started, time.monotonic(), 0
    reply = caller("GET", "large/whole")
    while piece := reply.read(1 << 20):
        got += len(piece)
        if not got % (256 << 20):
            most = max(most, _resident_mib(cloud))
    down_s = time.monotonic() - started
    caller.ask("DELETE", "large/whole?multipart-manifest=delete")
    growth = most - before
    print(
        f"{gigabytes} GiB up in {up_s:.0f} s ({gigabytes * 1074 / up_s:.0f} MB/s) and down in {down_s:.0f} s"
        f" ({gigabytes * 1074 / down_s:.0f} MB/s); the control process grew by {growth:.0f} MiB"
        f" (goal: {MOST_GROWTH_MIB:.0f} at most, {'reached' if growth <= MOST_GROWTH_MIB else 'missed'})"
    )
    return got == gigabytes * segment and growth <= MOST_GROWTH_MIB


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(PIECE)):
        yield PIECE


def _resident_mib(cloud: PrivateCloud) -> float:
    text = Path(f"/proc/{cloud.processes()['control']}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024
