# SPDX-License-Identifier: Apache-2.0
"""Clients at a private cloud's object store whose control process is killed and whose disks are wiped meanwhile.

At the end everything that was acknowledged is read back, listings and counts are compared, and every blob on the
disks must have a row, be intact and have all its copies.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config

from altostratus.app.options import CloudOptions
from altostratus.app.privileges import control_identity
from altostratus.drivers.object_store.embedded import EmbeddedStore, upkeep
from altostratus.drivers.object_store.embedded.blob_file import DamagedError
from altostratus.drivers.object_store.embedded.disk import Disk
from altostratus.kernel.db import Db, table_of
from altostratus.services.object_store.logic.stored import unreferenced
from altostratus.services.object_store.models import Waste
from altostratus.testing.object_load import BUCKET, NONE, Caller, Memory, Task
from altostratus.testing.private_cloud import PrivateCloud

_PEACE_S = 30.0


def make_disks(cloud: PrivateCloud) -> list[Path]:
    """Three directories, and the ring of them: before the cloud is up."""
    disks = [cloud.state / "disks" / name for name in ("a", "b", "c")]
    owner = control_identity(CloudOptions())
    for disk in disks:
        disk.mkdir(parents=True)
        os.chown(disk, owner.uid, owner.gid)
    cloud.alto("ring", "create", *map(str, disks), "--part-power", "6")
    return disks


class Trial:
    """`begin`, then harm, then `end`, then `check`. Sentences about what is wrong gather in `wrong`.

    Clients end with the cloud's directory, too.
    """

    def __init__(self, cloud: PrivateCloud, disks: list[Path], *, seed: int = 1) -> None:
        self.cloud, self.disks, self.dice = cloud, disks, random.Random(seed)
        self.memories: list[Memory] = []
        self.wrong: list[str] = []
        self.kills = self.wipes = self.flips = self.strays = 0
        self._clients: list[subprocess.Popen[bytes]] = []
        self._working = cloud.state / "clients-work"
        user_id = cloud.call("GET", "/identity/v3/users?name=admin")["users"][0]["id"]
        project_id = cloud.call("GET", "/identity/v3/projects?name=admin")["projects"][0]["id"]
        self.account = f"AUTH_{project_id}"
        credentials = f"/identity/v3/users/{user_id}/credentials/OS-EC2"
        made = cloud.call("POST", credentials, {"tenant_id": project_id})["credential"]
        self.pair = made["access"], made["secret"]
        self.swift = Caller(cloud.url, cloud.token, self.account)
        self._need("PUT")

    def begin(self, clients: int) -> None:
        self._working.touch()
        for seed in range(clients):
            task = Task(self.cloud.url, self.cloud.token, self.account, self.pair, seed, str(self._working))
            argv = [sys.executable, "-m", "altostratus.testing.object_load", str(self._file(seed))]
            client = subprocess.Popen(argv, stdin=subprocess.PIPE)
            self._clients.append(client)
            assert client.stdin is not None
            client.stdin.write(msgspec.json.encode(task))
            client.stdin.close()

    def end(self) -> None:
        """Wait for the clients and for what they remember."""
        self._working.unlink()
        for seed, client in enumerate(self._clients):
            if client.wait():
                self.wrong.append(f"client {seed} ended with status {client.returncode}")
                continue
            memory = msgspec.json.decode(self._file(seed).read_bytes(), type=Memory)
            self.memories.append(memory)
            self.wrong += [f"client {seed}: {sentence}" for sentence in memory.wrong]

    # harm

    def kill(self) -> None:
        """SIGKILL for the control process; returns when another one answers."""
        before = self._control()
        environment = Path(f"/proc/{before}/environ").read_bytes().split(b"\0")
        if f"ALTO_STATE={self.cloud.state}".encode() not in environment:
            raise RuntimeError(f"process {before} is not of this cloud")
        os.kill(before, signal.SIGKILL)
        self.kills += 1
        deadline = time.monotonic() + _PEACE_S
        while self._control() in (0, before) or self.swift("HEAD")[0] not in (200, 204):
            if time.monotonic() > deadline:
                raise RuntimeError("the control process does not come back")
            time.sleep(0.05)

    def wipe(self) -> None:
        """Remove everything of one disk, the directory too, and make it anew; the replicator fills it."""
        disk = self.dice.choice(self.disks)
        for _ in range(3):  # the cloud makes new files meanwhile
            shutil.rmtree(disk, ignore_errors=True)
        disk.mkdir(exist_ok=True)
        owner = control_identity(CloudOptions())
        os.chown(disk, owner.uid, owner.gid)
        self.wipes += 1

    def flip_bits(self) -> None:
        """In every third copy on one disk, and have them found."""
        disk = Disk(0, str(self.dice.choice(self.disks)))
        held = [(blob_id, partition) for partition in disk.partitions() for blob_id in disk.blobs_in(partition)]
        for blob_id, partition in held[::3]:
            copy = disk.copy_of(blob_id, partition)
            try:
                size = copy.open().size
                with open(copy.path, "r+b") as handle:
                    handle.seek(copy.data_at + size // 2)
                    (before,) = handle.read(1)
                    handle.seek(-1, os.SEEK_CUR)
                    handle.write(bytes([before ^ 16]))
                self.flips += 1
            except (FileNotFoundError, DamagedError):
                continue  # deleted meanwhile, or read by a client
        self.cloud.alto("ring", "audit")

    def _control(self) -> int:
        """The process; 0 while it writes down its number."""
        return int(self.cloud.paths.control_pid.read_text() or 0)

    def replicate(self) -> None:
        self.cloud.alto("ring", "replicate")

    # what is left

    def check(self) -> None:
        self._check_contents()
        self._abort_uploads()
        self._check_counts()
        self._check_disks()

    def summary(self) -> dict[str, int]:
        return {
            "operations acknowledged": sum(memory.acknowledged for memory in self.memories),
            "names with acknowledged contents": sum(len(memory.may_be) for memory in self.memories),
            "reads while it ran": sum(memory.reads for memory in self.memories),
            "requests without an answer": sum(memory.without_answer for memory in self.memories),
            "kills of the control process": self.kills,
            "disks wiped": self.wipes,
            "copies damaged": self.flips,
            "blobs left to the sweep of orphans": self.strays,
            "lost or wrong": len(self.wrong),
        }

    def _check_contents(self) -> None:
        may_be = {name: allowed for memory in self.memories for name, allowed in memory.may_be.items()}

        def look(name: str) -> str | None:
            return Caller(self.cloud.url, self.cloud.token, self.account).contents(name)

        with ThreadPoolExecutor(4) as threads:
            found = dict(zip(may_be, threads.map(look, may_be), strict=True))
        for name, allowed in may_be.items():
            if found[name] not in allowed:
                self.wrong.append(f"{name} is {found[name]}, should be one of {allowed}")
        listed = set(self._need("GET", "?limit=10000").decode().splitlines())
        there = {name for name, contents in found.items() if contents != NONE}
        if listed != there:
            self.wrong.append(f"the listing has {sorted(listed - there)} too much, {sorted(there - listed)} too little")

    def _abort_uploads(self) -> None:
        """Those of clients that got no answer: they count until somebody gives them up."""
        s3 = boto3.client(
            "s3", endpoint_url=f"{self.cloud.url}/object-store/s3", region_name="us-east-1",
            aws_access_key_id=self.pair[0], aws_secret_access_key=self.pair[1],
            config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET)
        for upload in [one for page in pages for one in page.get("Uploads", ())]:
            s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])

    def _check_counts(self) -> None:
        rows: list[dict[str, Any]] = msgspec.json.decode(self._need("GET", "?format=json&limit=10000"))
        held = sum(row["bytes"] for row in rows if "-large-" not in row["name"] or "." in row["name"])
        shown = self.cloud.request("HEAD", f"/object-store/v1/{self.account}/{BUCKET}")[1]
        account = self.cloud.request("HEAD", f"/object-store/v1/{self.account}")[1]
        counted = [
            (int(headers[f"x-{what}-object-count"]), int(headers[f"x-{what}-bytes-used"]))
            for what, headers in (("container", shown), ("account", account))
        ]
        if counted != [(len(rows), held)] * 2:
            self.wrong.append(f"container and account count {counted}; there are {len(rows)} objects, {held} bytes")

    def _check_disks(self) -> None:
        db, store = Db(self.cloud.paths.database_url(CloudOptions())), EmbeddedStore(self.cloud.paths.objects)
        try:
            self._await_order(db, store)
            self.replicate()
            tally = upkeep.audit(store)
            if tally.damaged or tally.failed:
                self.wrong.append(f"the auditor found {tally.damaged} damaged copies, {tally.failed} disks failed")
            for blob_id in set(store.blob_ids()):
                holders, others = store.disks(blob_id)
                partition = store.ring.partition_of(blob_id)
                if not all(disk.has(blob_id, partition) for disk in holders):
                    self.wrong.append(f"blob {blob_id} is not on all of its disks")
                if any(disk.has(blob_id, partition) for disk in others):
                    self.wrong.append(f"blob {blob_id} is on other disks as well")
        finally:
            db.close()

    def _await_order(self, db: Db, store: EmbeddedStore) -> None:
        """Until the waste is gone, nothing is pending and every blob has its row.

        What was deleted at the very moment when the replicator copied it is left to the sweep of orphans.
        """
        deadline = time.monotonic() + _PEACE_S
        while True:
            with db.read() as tx:
                waste = len(tx.rows(table_of(Waste).select()))
                nobodys = unreferenced(tx, sorted(set(store.blob_ids())))
            pending = len(set(store.pending()))
            if not (waste or pending or nobodys):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.3)
        self.strays = len(nobodys)
        if waste or pending or (nobodys and not (self.wipes or self.flips)):
            self.wrong.append(f"left over: {waste} of the waste, {pending} pending, without a row: {sorted(nobodys)}")

    def _need(self, method: str, path: str = "") -> bytes:
        status, body = self.swift(method, path)
        if status >= 300 or not status:
            raise RuntimeError(f"{method} {path}: {status} {body!r}")
        return body

    def _file(self, seed: int) -> Path:
        return self.cloud.state / f"client-{seed}.json"
