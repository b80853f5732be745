# SPDX-License-Identifier: Apache-2.0
"""Requests that are small to send and large to serve: refused before they cost much."""

import gzip
import io
import tarfile
import time

import pytest

from altostratus.services.object_store.api import bulk
from altostratus.services.object_store.s3 import xml

pytestmark = pytest.mark.usefixtures("nothing_left")

DEEP = 100_000


@pytest.fixture(autouse=True)
def container(swift):
    swift("PUT", "c")
    swift.put("c/segment", b"data")


@pytest.fixture(autouse=True)
def in_time():
    """What is refused is refused soon, on a slow machine too."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("manifest", "status"),
    [
        (b"[" * DEEP, 400),
        (b"[" * DEEP + b"]" * DEEP, 400),
        (b'[{"path": "/c/segment", "size_bytes": 1' + b"0" * 5000 + b"}]", 400),
        (b'[{"path": "/c/segment", "range": "' + b"9" * 5000 + b'-"}]', 400),
        (b'[{"path": "/c/segment"}' + b', {"path": "/c/segment"}' * 1000 + b"]", 413),
        (b" " * (8 * 1024 * 1024 + 1), 413),
        (b'{"path": "/c/segment"}', 400),
        (b"\xff\xfe", 400),
    ],
    ids=["open", "deep", "large-number", "large-range", "many", "long", "no-list", "no-text"],
)
def test_manifests(swift, manifest, status):
    assert swift("PUT", "c/whole?multipart-manifest=put", manifest).status == status
    assert swift.names("c") == ["segment"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [(b"c/none\n" * 21, 413), (b"c/" + b"x" * 100_000, 400)],
    ids=["many", "long"],
)
def test_deleting_many(swift, monkeypatch, lines, status):
    monkeypatch.setattr(bulk, "MOST_DELETES", 20)
    assert swift("POST", "?bulk-delete", lines, Content_Type="text/plain").status == status


@pytest.mark.parametrize("limit", ["10001", "1000000000", "9" * 5000])
@pytest.mark.parametrize("where", ["", "c"])
def test_pages_of_any_length(swift, where, limit):
    answer = swift("GET", f"{where}?limit={limit}")
    assert answer.status == 412 and "Maximum limit is 10000" in answer.text


@pytest.mark.parametrize(
    "header",
    [
        {"Range": "bytes=" + ",".join(["0-1"] * 10_000)},
        {"Range": "bytes=0-" + "9" * 5000},
        {"If_None_Match": ",".join(["x"] * 100_000)},
        {"If_Modified_Since": "9" * 100_000},
    ],
    ids=["many-ranges", "large-range", "many-tags", "no-date"],
)
def test_headers_of_a_download(swift, header):
    assert swift("GET", "c/segment", **header).status in (200, 206, 416)


@pytest.mark.parametrize(
    "header",
    [
        {"X_Delete_At": "9" * 5000},
        {"X_Delete_After": "9" * 5000},
        {"X_Object_Meta_" + "x" * 129: "x"},
        {"X_Object_Meta_Long": "x" * 257},
        {f"X_Object_Meta_{number}": "x" for number in range(91)},
    ],
    ids=["far-future", "long-life", "long-name", "long-value", "many"],
)
def test_headers_of_an_upload(swift, header):
    assert swift("PUT", "c/o", b"data", **header).status == 400


def test_an_archive_that_grows(swift, cloud):
    """Nothing of a file that is larger than an object may be is kept."""
    most = 5_368_709_122
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        entry = tarfile.TarInfo("bomb")
        entry.size = most + 1
        file.write(entry.tobuf() + bytes(1 << 20))
    answer = swift("PUT", "c?extract-archive=tar.gz", packed.getvalue())
    assert answer.status == 400 or '"Number Files Created": 0' in answer.text or "Created: 0" in answer.text
    assert swift.names("c") == ["segment"]


@pytest.mark.parametrize(
    "text",
    [
        "<Delete>" * DEEP,
        "<Delete>" + "<a>" * DEEP + "</a>" * DEEP + "</Delete>",
        '<!DOCTYPE D [<!ENTITY a "xx"><!ENTITY b "&a;&a;">]><Delete>&b;</Delete>',
        '<!DOCTYPE D SYSTEM "file:///etc/passwd"><Delete/>',
        "<Delete " + " ".join(f'a{number}="x"' for number in range(DEEP)) + "/>",
        "<Delete>&undefined;</Delete>",
    ],
    ids=["open", "deep", "entities", "outside", "attributes", "unknown-entity"],
)
def test_xml(text):
    """It is read, or refused; the process lives on."""
    try:
        found = xml.parse(text.encode(), "Delete")
    except ValueError:
        return
    assert list(xml.children(found, "Object")) == []
