# SPDX-License-Identifier: Apache-2.0
"""Objects: up, down, ranges, conditions, copies, metadata, expiry."""

import hashlib

import pytest

from altostratus.services.object_store.reconcilers.expiry import delete_expired

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def container(swift):
    swift.put("c")


def test_up_and_down(swift):
    made = swift.put("c/a/b", b"some data", Content_Type="text/x-thing", X_Object_Meta_Color="Red")
    md5 = hashlib.md5(b"some data").hexdigest()
    assert made.headers["etag"] == md5 and made.headers["x-trans-id"].startswith("tx") and made.content == b""
    got = swift("GET", "c/a/b")
    assert (got.status, got.content) == (200, b"some data")
    shown = {
        "etag": md5, "content-length": "9", "content-type": "text/x-thing", "x-object-meta-color": "Red",
        "accept-ranges": "bytes",
    }  # fmt: skip
    assert shown.items() <= got.headers.items()
    head = swift("HEAD", "c/a/b")
    assert head.status == 200 and head.content == b"" and shown.items() <= head.headers.items()
    assert swift("DELETE", "c/a/b").status == 204
    assert swift("GET", "c/a/b").status == swift("DELETE", "c/a/b").status == 404


@pytest.mark.parametrize("name", ["dir/", "a//b", "/", "%E4%BD%A0%E5%A5%BD", "a%20b%3Fc", "x/" * 300, "%25", "a;b=c"])
def test_names(swift, name):
    swift.put(f"c/{name}", b"1")
    assert swift("GET", f"c/{name}").content == b"1"
    assert swift("HEAD", "c").headers["x-container-object-count"] == "1"
    assert len(swift.names("c")) == 1
    assert swift("DELETE", f"c/{name}").status == 204


def test_the_same_name_again(swift, store):
    swift.put("c/o", b"first")
    swift.put("c/o", b"second one")
    assert swift("GET", "c/o").content == b"second one"
    assert swift("HEAD", "c").headers["x-container-bytes-used"] == "10"


def test_an_empty_object(swift, store):
    swift.put("c/o", b"")
    assert swift("GET", "c/o").content == b"" and list(store.blob_ids()) == []
    assert swift("GET", "c/o", Range="bytes=0-1").status == 416


@pytest.mark.parametrize(
    ("asked", "status", "data"),
    [
        ("bytes=0-2", 206, b"012"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=10-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=3-2", 200, b"0123456789"),
        ("bytes=x", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges(swift, asked, status, data):
    swift.put("c/o", b"0123456789")
    got = swift("GET", "c/o", Range=asked)
    assert got.status == status
    if data is not None:
        assert got.content == data
    if status == 206:
        assert got.headers["content-range"].endswith("/10")


def test_several_ranges(swift):
    swift.put("c/o", b"0123456789", Content_Type="text/x-a")
    got = swift("GET", "c/o", Range="bytes=0-1,4-5,-1,20-30")
    boundary = got.headers["content-type"].partition("boundary=")[2]
    parts = got.content.split(f"--{boundary}".encode())
    assert got.status == 206 and len(got.content) == int(got.headers["content-length"])
    assert [part.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for part in parts[1:-1]] == [b"01", b"45", b"9"]
    assert b"Content-Range: bytes 4-5/10" in parts[2]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x", "{etag}"'}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_Match": "{etag}"}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If_Modified_Since": "{modified}"}, 304),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412),
        ({"If_Unmodified_Since": "{modified}"}, 200),
    ],
)
def test_conditions(swift, headers, status):
    made = swift.put("c/o", b"data")
    known = {"etag": made.headers["etag"], "modified": made.headers["last-modified"]}
    got = swift("GET", "c/o", **{name: value.format(**known) for name, value in headers.items()})
    assert got.status == status
    assert (got.content == b"data") == (status == 200)


def test_only_if_there_is_none(swift):
    swift.put("c/o", b"1", If_None_Match="*")
    assert swift("PUT", "c/o", b"2", If_None_Match="*").status == 412
    assert swift("PUT", "c/p", b"2", If_None_Match="x").status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"ETag": "00"}, 422),
        ({"X_Delete_At": "soon"}, 400),
        ({"X_Delete_At": "12"}, 400),
        ({"X_Delete_After": "-1"}, 400),
        ({"X_Object_Meta_" + "n" * 129: "v"}, 400),
        ({"X_Object_Meta_N": "v" * 257}, 400),
        ({f"X_Object_Meta_{number}": "v" for number in range(91)}, 400),
        ({f"X_Object_Meta_{number}": "v" * 250 for number in range(20)}, 400),
        ({"X_Copy_From": "nowhere"}, 412),
        ({"X_Copy_From": "c/none"}, 404),
        ({"X_Copy_From": "none/none"}, 404),
    ],
)
def test_refused_uploads_leave_nothing(swift, headers, status):
    assert swift("PUT", "c/o", b"data", **headers).status == status
    assert swift("GET", "c/o").status == 404


def test_too_long_names(swift):
    assert swift("PUT", "c/" + "o" * 1025, b"x").status == 400
    assert swift("PUT", "c" * 257).status == 400
    assert swift("PUT", "c/%ff", b"x").status == 412


def test_no_such_container(swift):
    refused = swift("PUT", "none/o", b"data")
    assert refused.status == 404 and b"none" in refused.content


def test_a_full_store(swift, store):
    store.capacity_bytes = 3
    refused = swift("PUT", "c/o", b"data")
    assert refused.status == 507 and b"No room" in refused.content


def test_metadata_is_replaced(swift):
    swift.put("c/o", b"data", X_Object_Meta_A="1", Content_Disposition="inline")
    assert swift("POST", "c/o", X_Object_Meta_B="", Content_Type="text/x-b").status == 202
    head = swift("HEAD", "c/o").headers
    assert head["x-object-meta-b"] == "" and head["content-type"] == "text/x-b"
    assert "x-object-meta-a" not in head and "content-disposition" not in head
    assert swift("POST", "c/none", X_Object_Meta_B="1").status == 404
    assert swift("GET", "c/o").content == b"data"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("page.html", "text/html"), ("a/PICTURE.JPG", "image/jpeg"), ("old.1.tar.gz", "application/x-tar"),
        ("unknown", "application/octet-stream"), ("page.html/unknown", "application/octet-stream"),
        ("a." + "x" * 500, "application/octet-stream"),
    ],
)  # fmt: skip
def test_type_by_name(swift, name, kind):
    swift.put(f"c/{name}", b"x")
    assert swift("HEAD", f"c/{name}").headers["content-type"] == kind


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_copies(swift):
    swift.put("d")
    swift.put("c/my o", b"data", X_Object_Meta_A="1", X_Object_Meta_B="1", Content_Type="text/x-a")
    made = swift.put("d/p", X_Copy_From="/c/my%20o", X_Object_Meta_B="2")
    assert made.headers["x-copied-from"] == "c/my o"
    head = swift("HEAD", "d/p").headers
    assert (head["x-object-meta-a"], head["x-object-meta-b"], head["content-type"]) == ("1", "2", "text/x-a")
    assert swift("COPY", "c/my%20o", Destination="d/q%20q", X_Fresh_Metadata="true").status == 201
    got = swift("GET", "d/q%20q")
    assert got.content == b"data" and "x-object-meta-a" not in got.headers
    assert swift("COPY", "c/my%20o").status == swift("COPY", "c/my%20o", Destination="d").status == 412
    swift.put("c/my o", X_Copy_From="c/my%20o", X_Object_Meta_C="3")
    assert swift("GET", "c/my%20o").content == b"data"
    assert swift("HEAD", "c/my%20o").headers["x-object-meta-c"] == "3"


def test_expiry(swift, cloud, monkeypatch):
    swift.put("c/soon", b"data", X_Delete_After="60")
    swift.put("c/later", b"data", X_Delete_After="600")
    at = int(swift("HEAD", "c/soon").headers["x-delete-at"])
    monkeypatch.setattr("altostratus.kernel.clock.unix", lambda: at + 1.0)
    assert swift("GET", "c/soon").status == swift("HEAD", "c/soon").status == 404
    assert swift("POST", "c/soon").status == swift("DELETE", "c/soon").status == 404
    assert swift("GET", "c/later").status == 200
    delete_expired(cloud.cloud)
    assert swift.names("c") == ["later"]
    assert swift("HEAD", "c").headers["x-container-object-count"] == "1"
    swift("POST", "c/later", X_Object_Meta_A="1")
    assert "x-delete-at" not in swift("HEAD", "c/later").headers


def test_an_expired_object_is_replaced_by_a_new_one(swift, monkeypatch):
    swift.put("c/o", b"old", X_Delete_After="60")
    at = int(swift("HEAD", "c/o").headers["x-delete-at"])
    monkeypatch.setattr("altostratus.kernel.clock.unix", lambda: at + 1.0)
    swift.put("c/o", b"new!", If_None_Match="*")
    assert swift("GET", "c/o").content == b"new!"
