# SPDX-License-Identifier: Apache-2.0
"""The power is cut before every write, flush, link and unlink of the disks, and around every transaction.

Whatever was answered is there, whole; what was being done is done or undone; nothing leaks; counts agree.
"""

import io
import json
import os
import tarfile

import pytest

from altostratus.kernel import clock
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud

from .conftest import Swift
from .power import Place, Story, cut_everywhere

BROKEN = "a large object without its segments"


@pytest.fixture(params=[1, 3], ids=["one-disk", "three-disks"])
def place(tmp_path, request):
    with TestCloud(tmp_path, services=(SERVICE,)) as cloud:
        place = Place(cloud, tmp_path / "disks", request.param)
        Swift(cloud, "member")("PUT", "c")
        yield place


class SwiftStory(Story):
    """Things are objects of the container `c`: (bytes, colour)."""

    def __init__(self, cloud, number):
        super().__init__()
        self.swift, self.number = Swift(cloud, "member"), number

    def path(self, name):
        return f"c/{self.number}-{name}"

    def find(self, thing):
        answer = self.swift("GET", self.path(thing))
        if answer.status == 409:
            return BROKEN
        return (answer.content, answer.headers.get("x-object-meta-colour")) if answer.status == 200 else None

    def clear(self):
        """Several times: older versions come back one after the other."""
        for thing in list(self.may_be) * 4:
            self.swift("DELETE", self.path(thing))

    def ask(self, method, name, body=None, query="", **headers):
        answer = self.swift(method, self.path(name) + query, body, **headers)
        assert answer.status < 300, answer.text
        return answer

    def put(self, name, data, **headers):
        self.step(lambda: self.ask("PUT", name, data, **headers), **{name: (data, None)})

    def delete(self, name):
        self.step(lambda: self.ask("DELETE", name), **{name: None})


class Uploads(SwiftStory):
    def run(self):
        data = [os.urandom(size) for size in (700, 300_000, 40)]
        self.put("new", data[0])
        self.put("new", data[1])
        self.put("other", data[2])
        self.step(lambda: self.ask("POST", "new", X_Object_Meta_Colour="red"), new=(data[1], "red"))
        self.step(lambda: self.ask("PUT", "copy", X_Copy_From=self.path("new")), copy=(data[1], "red"))
        self.delete("new")
        self.put("other", b"")
        self.step(lambda: self.ask("PUT", "other", X_Copy_From=self.path("copy")), other=(data[1], "red"))


class LargeObjects(SwiftStory):
    def run(self):
        first, second = os.urandom(300), os.urandom(270_000)
        self.put("one", first)
        self.put("two", second)
        segments = [{"path": f"/{self.path(name)}"} for name in ("one", "two", "one")]
        self.step(lambda: self.manifest(segments), large=(first + second + first, None))
        self.step(lambda: self.manifest(segments[:2]), large=(first + second, None))
        gone = {"one": None, "two": None, "large": None}
        self.step(lambda: self.ask("DELETE", "large", query="?multipart-manifest=delete"), [BROKEN], **gone)

    def manifest(self, segments):
        self.ask("PUT", "large", json.dumps(segments), "?multipart-manifest=put")


class Many(SwiftStory):
    def run(self):
        data = {name: os.urandom(size) for name, size in (("a", 90), ("b", 40_000), ("c", 10))}
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in data.items():
                member = tarfile.TarInfo(f"{self.number}-{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        unpack = lambda: self.swift("PUT", "c?extract-archive=tar", archive.getvalue())  # noqa: E731
        self.step(unpack, **{name: (content, None) for name, content in data.items()})
        paths = "\n".join(self.path(name) for name in data)
        delete = lambda: self.swift("POST", "?bulk-delete", paths, Content_Type="text/plain")  # noqa: E731
        assert "Number Deleted: 3" in self.step(delete, **dict.fromkeys(data)).text


class Versions(SwiftStory):
    """Besides the object: its older versions, newest first."""

    def __init__(self, cloud, number):
        super().__init__(cloud, number)
        self.swift("PUT", "old")
        self.swift("PUT", "c", X_Versions_Location="old")

    def run(self):
        one, two, three = ((os.urandom(size), None) for size in (80, 30_000, 7))
        for now, older in ((one, ()), (two, (one,)), (three, (two, one))):
            self.step(lambda now=now: self.ask("PUT", "o", now[0]), o=now, older=older)
        for left, older in ((two, (one,)), (one, ()), (None, ())):
            self.step(lambda: self.ask("DELETE", "o"), o=left, older=older)

    def find(self, thing):
        if thing != "older":
            return super().find(thing)
        name = f"{self.number}-o"
        kept = self.swift.names("old", f"prefix={len(name):03x}{name}/&reverse=true")
        return tuple((self.swift("GET", f"old/{version}").content, None) for version in kept)

    def now(self, thing):
        return super().now(thing) if thing in self.may_be else (() if thing == "older" else None)


class Expiry(SwiftStory):
    """A minute goes by in the middle. `moment` is what the clock shows."""

    def __init__(self, cloud, number, moment):
        super().__init__(cloud, number)
        self.moment, self.ends = moment, moment[0] + 50

    def run(self):
        data = os.urandom(5000)
        self.put("stays", data)
        self.put("goes", data, X_Delete_After="50")
        self.put("goes-too", b"", X_Delete_After="50")
        self.moment[0] += 60

    def demand_kept(self):
        if self.moment[0] >= self.ends:
            self.may_be |= {"goes": [None], "goes-too": [None]}
        super().demand_kept()


@pytest.mark.parametrize("kind", [Uploads, LargeObjects, Many, Versions])
def test_nothing_answered_is_lost_and_nothing_leaks(place, kind):
    cut_everywhere(place, lambda number: kind(place.cloud, number))


def test_expired_objects_do_not_come_back(place, monkeypatch):
    moment = [clock.unix()]
    monkeypatch.setattr(clock, "unix", lambda: moment[0])
    cut_everywhere(place, lambda number: Expiry(place.cloud, number, moment))
