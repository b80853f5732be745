# SPDX-License-Identifier: Apache-2.0
"""Static and dynamic large objects."""

import hashlib
import json

import pytest

pytestmark = pytest.mark.usefixtures("nothing_left")
PARTS = {"one": b"0123456789", "two": b"abcdefghij", "three": b"XYZ"}
WHOLE = b"".join(PARTS.values())


@pytest.fixture(autouse=True)
def segments(swift):
    swift.put("c")
    swift.put("parts")
    for name, data in PARTS.items():
        swift.put(f"parts/{name}", data)


def md5(data):
    return hashlib.md5(data).hexdigest()


def manifest(*changes):
    items = [{"path": f"/parts/{name}", "etag": md5(data), "size_bytes": len(data)} for name, data in PARTS.items()]
    for place, change in changes:
        items[place] |= change
    return json.dumps(items)


def put(swift, body=None, path="c/big", **headers):
    return swift("PUT", f"{path}?multipart-manifest=put", body or manifest(), **headers)


def test_a_static_large_object(swift):
    made = put(swift, X_Object_Meta_A="1")
    etag = '"' + md5("".join(md5(data) for data in PARTS.values()).encode()) + '"'
    assert made.status == 201 and made.headers["etag"] == etag
    got = swift("GET", "c/big")
    assert got.content == WHOLE and got.headers["etag"] == etag and got.headers["x-static-large-object"] == "True"
    head = swift("HEAD", "c/big").headers
    assert head["content-length"] == "23" and head["x-object-meta-a"] == "1"
    assert swift("GET", "c/big", Range="bytes=8-12").content == b"89abc"
    assert swift("GET", "c/big", Range="bytes=0-0,22-22").status == 206
    assert swift("GET", "c/big", If_None_Match=etag).status == 304
    listed = json.loads(swift("GET", "c?format=json").content)
    assert listed[0]["bytes"] == 23
    assert swift("HEAD", "c").headers["x-container-bytes-used"] == "0"
    shown = json.loads(swift("GET", "c/big?multipart-manifest=get").content)
    assert [(item["name"], item["bytes"], item["hash"]) for item in shown] == [
        (f"/parts/{name}", len(data), md5(data)) for name, data in PARTS.items()
    ]


def test_data_in_the_list(swift):
    items = [{"data": "PDw="}, {"path": "parts/one", "size_bytes": "10", "range": "2-3"}, {"data": "Pj4="}]
    made = put(swift, json.dumps(items))
    assert made.headers["etag"] == f'"{md5((md5(b"<<") + md5(PARTS["one"]) + ":2-3;" + md5(b">>")).encode())}"'
    assert swift("GET", "c/big").content == b"<<23>>"
    assert swift("GET", "c/big", Range="bytes=1-4").content == b"<23>"
    assert swift("GET", "c/big", Range="bytes=-1").content == b">"
    assert put(swift, json.dumps([{"path": "c/big", "range": "1-2"}]), "c/outer").status == 201
    assert swift("GET", "c/outer").content == b"<2"
    shown = json.loads(swift("GET", "c/big?multipart-manifest=get").content)
    assert [item.get("data", item.get("name")) for item in shown] == ["PDw=", "/parts/one", "Pj4="]
    raw = swift("GET", "c/big?multipart-manifest=get&format=raw").content
    assert put(swift, raw, "c/again").headers["etag"] == made.headers["etag"]
    swift.put("c/copy", X_Copy_From="c/big")
    assert swift("GET", "c/copy").content == b"<<23>>"
    assert swift("DELETE", "c/big?multipart-manifest=delete").status == 200
    assert swift.names("parts") == ["three", "two"]


@pytest.mark.parametrize(
    "items",
    [
        [{"data": "PDw="}],
        [{"data": "not base64"}, {"path": "parts/one"}],
        [{"data": ""}, {"path": "parts/one"}],
        [{"data": "PDw=", "path": "parts/one"}, {"path": "parts/one"}],
        [{"data": "PDw=", "etag": "x"}, {"path": "parts/one"}],
        [{}, {"path": "parts/one"}],
    ],
)
def test_refused_data_in_the_list(swift, items):
    assert put(swift, json.dumps(items)).status == 400 and swift.names("c") == []


def test_ranges_of_segments(swift):
    assert put(swift, manifest((0, {"range": "2-4"}), (1, {"range": "-2"}), (2, {"range": "1-"}))).status == 201
    assert swift("GET", "c/big").content == b"234ijYZ"
    assert swift("GET", "c/big", Range="bytes=2-4").content == b"4ij"


def test_large_objects_of_large_objects(swift):
    put(swift)
    inner = swift("HEAD", "c/big").headers["etag"].strip('"')
    outer = json.dumps([{"path": "/c/big", "etag": inner, "size_bytes": 23}, {"path": "/parts/one"}])
    assert put(swift, outer, "c/bigger").status == 201
    assert swift("GET", "c/bigger").content == WHOLE + PARTS["one"]
    assert swift("GET", "c/bigger", Range="bytes=20-24").content == b"XYZ01"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (manifest((1, {"path": "/parts/none"})), "404 Not Found"),
        (manifest((1, {"path": "/nowhere/none"})), "404 Not Found"),
        (manifest((1, {"size_bytes": 1})), "Size Mismatch"),
        (manifest((1, {"etag": "00"})), "Etag Mismatch"),
        (manifest((1, {"range": "50-60"})), "Unsatisfiable Range"),
        (manifest((1, {"range": "x-y"})), "Invalid range"),
        (manifest((1, {"path": "one"})), "Invalid path"),
        (manifest((1, {"odd": 1})), "valid JSON"),
        ("not json", "valid JSON"),
        ("[]", "at least one segment"),
    ],
)
def test_refused_manifests(swift, body, words):
    refused = put(swift, body)
    assert refused.status == 400 and words in refused.text
    assert swift("GET", "c/big").status == 404


def test_a_wrong_etag_and_too_many_segments(swift):
    assert put(swift, ETag="00").status == 422
    assert put(swift, json.dumps([{"path": "/parts/one"}] * 1001)).status == 413


@pytest.mark.parametrize("harm", ["replace", "delete"])
def test_a_changed_segment_is_told(swift, harm):
    put(swift)
    swift("DELETE", "parts/two") if harm == "delete" else swift.put("parts/two", b"something else")
    refused = swift("GET", "c/big")
    assert refused.status == 409 and "/parts/two" in refused.text


def test_delete_with_segments(swift):
    put(swift)
    swift("DELETE", "parts/three")
    answer = swift("DELETE", "c/big?multipart-manifest=delete", Accept="application/json")
    assert answer.json["Number Deleted"] == 3 and answer.json["Number Not Found"] == 1 and answer.json["Errors"] == []
    assert swift.names("c") == swift.names("parts") == []
    swift.put("c/plain", b"x")
    assert swift("DELETE", "c/plain?multipart-manifest=delete").status == 400
    assert swift("DELETE", "c/none?multipart-manifest=delete").status == 404


def test_delete_of_the_manifest_leaves_the_segments(swift):
    put(swift)
    assert swift("DELETE", "c/big").status == 204
    assert len(swift.names("parts")) == 3


def test_dynamic_large_objects(swift):
    swift.put("c/dyn", b"", X_Object_Manifest="parts/t")
    got = swift("GET", "c/dyn")
    assert got.content == PARTS["three"] + PARTS["two"]
    assert got.headers["etag"] == '"' + md5((md5(PARTS["three"]) + md5(PARTS["two"])).encode()) + '"'
    assert got.headers["x-object-manifest"] == "parts/t"
    swift.put("parts/t0", b"-")
    assert swift("GET", "c/dyn").content == b"-" + PARTS["three"] + PARTS["two"]
    assert swift("HEAD", "c/dyn").headers["content-length"] == "14"
    assert swift("GET", "c/dyn", Range="bytes=0-1").content == b"-X"
    swift.put("c/empty", b"", X_Object_Manifest="nowhere/t")
    assert swift("GET", "c/empty").content == b""
    assert swift("PUT", "c/bad", b"", X_Object_Manifest="parts", Content_Length="0").status == 400


def test_copies_of_large_objects(swift):
    put(swift)
    swift.put("c/plain", X_Copy_From="c/big")
    plain = swift("GET", "c/plain")
    assert plain.content == WHOLE and plain.headers["etag"] == md5(WHOLE)
    assert swift("PUT", "c/again?multipart-manifest=get", b"", X_Copy_From="c/big", Content_Length="0").status == 201
    assert swift("HEAD", "c/again").headers["x-static-large-object"] == "True"
    swift.put("c/dyn", b"", X_Object_Manifest="parts/t")
    swift.put("c/flat", X_Copy_From="c/dyn")
    assert "x-object-manifest" not in swift("HEAD", "c/flat").headers


def test_segments_need_their_own_permission(swift, stranger):
    put(swift)
    swift("POST", "c", X_Container_Read=f"{stranger.client.project_id}:*")
    assert stranger("GET", "c/big").status == 403
    swift("POST", "parts", X_Container_Read=f"{stranger.client.project_id}:*")
    assert stranger("GET", "c/big").content == WHOLE
