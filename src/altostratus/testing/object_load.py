# SPDX-License-Identifier: Apache-2.0
"""A client of the object store that remembers what it was answered: `python -m altostratus.testing.object_load`.

Several of them work at once, each on names of its own, by Swift and by S3, while the cloud is killed. What a request
without an answer has done is not known: the name may have what it had before or what the request would have made.
"""

import hashlib
import http.client
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "load"
# what stands for contents: a checksum; no object; a large object whose segments are gone
NONE, BROKEN = "none", "broken"
_SIZES = (0, 10, 4096, 4096, 4096, 300_000, 2_000_000)
_FIRST_PART_BYTES = 5 * 1024 * 1024
_NAMES = 30
_LOST: tuple[type[Exception], ...] = (OSError, http.client.HTTPException)


class Task(msgspec.Struct):
    """What a client is told at its standard input. It works while there is a file `as_long_as`."""

    url: str
    token: str
    account: str
    pair: tuple[str, str]
    seed: int
    as_long_as: str


class Memory(msgspec.Struct):
    """What a client knows at its end. `may_be` has for each name what may be found there."""

    may_be: dict[str, list[str]] = {}
    acknowledged: int = 0
    without_answer: int = 0
    reads: int = 0
    refusals: dict[str, int] = {}
    wrong: list[str] = []


class Caller:
    """HTTP on one connection, made anew when it is lost."""

    def __init__(self, url: str, token: str, account: str) -> None:
        self._host = urlsplit(url).netloc
        self._base = f"/object-store/v1/{account}/{BUCKET}"
        self._token = token
        self._connection: http.client.HTTPConnection | None = None

    def __call__(self, method: str, path: str = "", body: bytes | None = None) -> tuple[int, bytes]:
        """(status, body); status 0: there was no answer, or only a part of one."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            self._connection.request(method, self._base + path, body, {"X-Auth-Token": self._token})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except _LOST:
            self._connection.close()
            self._connection = None
            return 0, b""

    def contents(self, name: str) -> str | None:
        """A checksum, NONE or BROKEN; None: it could not be read now."""
        status, body = self("GET", f"/{quote(name)}")
        known = {404: NONE, 409: BROKEN}
        return digest(body) if status == 200 else known.get(status)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Client:
    """One client's life."""

    def __init__(self, task: Task) -> None:
        self.task, self.memory = task, Memory(may_be={}, refusals={}, wrong=[])
        self.dice = random.Random(task.seed)
        self.swift = Caller(task.url, task.token, task.account)
        config = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, read_timeout=60)
        self.s3 = boto3.client(
            "s3", endpoint_url=f"{task.url}/object-store/s3", region_name="us-east-1", config=config,
            aws_access_key_id=task.pair[0], aws_secret_access_key=task.pair[1],
        )  # fmt: skip
        self._refusals: Counter[str] = Counter()

    def run(self) -> Memory:
        acts = [self.put, self.delete, self.look, self.large_object, self.parts]
        while os.path.exists(self.task.as_long_as) and not self.memory.wrong:
            (act,) = self.dice.choices(acts, (10, 4, 6, 2, 0.3))
            if not act():
                time.sleep(0.1)  # the cloud is away
        self.memory.refusals = dict(self._refusals)
        return self.memory

    # what it does; False if there was no answer

    def put(self) -> bool:
        return self._put(self._name("plain"), self._data())

    def delete(self) -> bool:
        return self._delete(self._name("plain"))

    def look(self) -> bool:
        name = self.dice.choice(list(self.memory.may_be) or [self._name("plain")])
        found = self.swift.contents(name)
        if found is None:
            return False
        self.memory.reads += 1
        allowed = self._allowed(name)
        if found not in allowed:
            self.memory.wrong.append(f"{name} is {found}, should be one of {allowed}")
        return True

    def large_object(self) -> bool:
        """Make a static large object of two segments, or take it away with them."""
        name = self._name("large")
        segments = [f"{name}.a", f"{name}.b"]
        if any(self._allowed(one) != [NONE] for one in (name, *segments)):
            path = f"/{name}?multipart-manifest=delete"
            before = self._allowed(name)
            if len(before) == 1 and before[0] not in (NONE, BROKEN):
                return self._ask(("DELETE", path), {name: NONE, **dict.fromkeys(segments, NONE)}, [BROKEN])
            return all(self._delete(one) for one in (name, *segments))
        data = [self._data(), b"x" + self._data()]
        there = {one: part for one, part in zip(segments, data, strict=True) if part}
        if not all(self._put(one, part) for one, part in there.items()):
            return False
        manifest = json.dumps([{"path": f"/{BUCKET}/{one}"} for one in there]).encode()
        return self._ask(("PUT", f"/{name}?multipart-manifest=put", manifest), {name: digest(b"".join(data))})

    def parts(self) -> bool:
        """An upload in parts by S3."""
        name = self._name("parts")
        data = os.urandom(_FIRST_PART_BYTES), self._data() or b"x"
        key = {"Bucket": BUCKET, "Key": name}
        done = []
        try:
            upload = {**key, "UploadId": self.s3.create_multipart_upload(**key)["UploadId"]}
            for number, part in enumerate(data, 1):
                made = self.s3.upload_part(**upload, PartNumber=number, Body=part)
                done.append({"PartNumber": number, "ETag": made["ETag"]})
            if self.dice.random() < 0.2:
                self.s3.abort_multipart_upload(**upload)
                return True
        except (BotoCoreError, ClientError) as error:
            return self._failed("part", error)
        after = digest(b"".join(data))
        before = self._begin({name: after})
        try:
            self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        except (BotoCoreError, ClientError) as error:
            return self._failed("complete", error)
        return self._end(before, {name: after})

    # how it remembers

    def _put(self, name: str, data: bytes) -> bool:
        return self._ask(("PUT", f"/{name}", data), {name: digest(data)})

    def _delete(self, name: str) -> bool:
        return self._ask(("DELETE", f"/{name}"), {name: NONE})

    def _ask(self, request: tuple[Any, ...], after: dict[str, str], between: list[str] | None = None) -> bool:
        before = self._begin(after, between)
        status, body = self.swift(*request)
        was_gone = status == 404 and request[0] == "DELETE" and NONE in before[next(iter(after))]
        if was_gone or (200 <= status < 300 and b"Errors:\n/" not in body):
            return self._end(before, after)
        if 400 <= status < 500 and status != 499:
            self.memory.wrong.append(f"{request[:2]}: {status} {body[:200]!r}; was {before}")
        self._refusals[str(status)] += bool(status)
        self.memory.without_answer += not status
        return False

    def _begin(self, after: dict[str, str], between: list[str] | None = None) -> dict[str, list[str]]:
        before = {name: self._allowed(name) for name in after}
        for name, then in after.items():
            self.memory.may_be[name] = sorted({*before[name], *(between or []), then})
        return before

    def _end(self, before: dict[str, list[str]], after: dict[str, str]) -> bool:
        for name in before:
            self.memory.may_be[name] = [after[name]]
        self.memory.acknowledged += 1
        return True

    def _failed(self, what: str, error: Exception) -> bool:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(error, ClientError) else 0
        if 400 <= status < 500:
            self.memory.wrong.append(f"{what}: {error}")
        self._refusals[str(status)] += bool(status)
        self.memory.without_answer += not status
        return False

    def _allowed(self, name: str) -> list[str]:
        return self.memory.may_be.get(name, [NONE])

    def _name(self, kind: str) -> str:
        return f"{self.task.seed}-{kind}-{self.dice.randrange(_NAMES if kind == 'plain' else 4)}"

    def _data(self) -> bytes:
        return self.dice.randbytes(self.dice.choice(_SIZES))


if __name__ == "__main__":
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    Path(sys.argv[1]).write_bytes(msgspec.json.encode(Client(told).run()))
