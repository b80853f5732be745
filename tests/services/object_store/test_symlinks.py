# SPDX-License-Identifier: Apache-2.0
"""Links: what they show, where they lead, and that they open nothing."""

import pytest

from .conftest import Swift

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def filled(swift):
    swift.put("c")
    swift.put("d")
    swift.put("d/t", b"target", X_Object_Meta_Of="target", Content_Type="text/x")
    swift.put("c/l", X_Symlink_Target="d/t", X_Object_Meta_Of="link", Content_Type="application/symlink")


def test_reading_follows(swift):
    for method in ("GET", "HEAD"):
        got = swift(method, "c/l")
        assert got.status == 200 and got.headers["content-length"] == "6"
        assert got.headers["x-object-meta-of"] == "target" and got.headers["content-type"] == "text/x"
        assert got.headers["content-location"] == swift.base + "/d/t"
        assert "x-symlink-target" not in got.headers
    assert swift("GET", "c/l", Range="bytes=1-2").content == b"ar"


def test_the_link_itself(swift):
    got = swift("GET", "c/l?symlink=get")
    assert got.content == b"" and got.headers["x-object-meta-of"] == "link"
    assert got.headers["x-symlink-target"] == "d/t"
    assert got.headers["x-symlink-target-account"] == swift.base.rpartition("/")[2]
    item = swift("GET", "c?format=json").json[0]
    assert item["symlink_path"] == f"/v1/{swift.base.rpartition('/')[2]}/d/t" and item["bytes"] == 0
    assert "symlink_path" not in swift("GET", "c?format=xml").text


def test_deleting_and_metadata_are_of_the_link(swift):
    answer = swift("POST", "c/l", X_Object_Meta_New="1")
    assert answer.status == 307 and answer.headers["location"] == swift.base + "/d/t"
    assert swift("GET", "c/l?symlink=get").headers["x-object-meta-new"] == "1"
    assert swift("GET", "c/l").content == b"target"
    assert swift("POST", "c/l", X_Symlink_Target="d/x").status == 400
    assert swift("DELETE", "c/l").status == 204 and swift("GET", "d/t").content == b"target"


def test_two_hops_at_most(swift):
    swift.put("c/2", X_Symlink_Target="c/l")
    swift.put("c/3", X_Symlink_Target="c/2")
    assert swift("GET", "c/2").content == b"target"
    assert swift("GET", "c/3").status == 409
    swift.put("c/a", X_Symlink_Target="c/b")
    swift.put("c/b", X_Symlink_Target="c/a")
    assert swift("HEAD", "c/a").status == 409
    swift.put("c/gone", X_Symlink_Target="d/none")
    assert swift("GET", "c/gone").status == 404


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"X_Symlink_Target": "d"}, b"", 412),
        ({"X_Symlink_Target": "/d/t"}, b"", 412),
        ({"X_Symlink_Target": "d/%00"}, b"", 412),
        ({"X_Symlink_Target": "c/self"}, b"", 400),
        ({"X_Symlink_Target": "d/t"}, b"body", 400),
        ({"X_Symlink_Target": "d/t", "X_Symlink_Target_Account": "a/b"}, b"", 412),
        ({"X_Symlink_Target": "d/t", "X_Symlink_Target_Etag": "other"}, b"", 409),
        ({"X_Symlink_Target": "d/none", "X_Symlink_Target_Etag": "x"}, b"", 409),
        ({"X_Symlink_Target": "none/t", "X_Symlink_Target_Etag": "x"}, b"", 404),
    ],
)
def test_what_is_no_link(swift, headers, body, status):
    assert swift("PUT", "c/self", body, **headers).status == status
    assert swift("GET", "c/self?symlink=get").status == 404


def test_static_links(swift):
    etag = swift("HEAD", "d/t").headers["etag"]
    swift.put("c/s", X_Symlink_Target="d/t", X_Symlink_Target_Etag=f'"{etag}"')
    assert swift("GET", "c/s").content == b"target"
    swift.put("d/t", b"changed")
    assert swift("GET", "c/s").status == 409 and swift("GET", "c/l").content == b"changed"


def test_percent_encoded_names(swift):
    swift.put("d/%C3%BC%20x", b"u")
    for text in ("d/%C3%BC%20x", "d/ü x".encode().decode("latin-1")):
        swift.put("c/u", X_Symlink_Target=text)
        assert swift("GET", "c/u").content == b"u"


def test_the_targets_rights_count(swift, anybody, stranger, cloud):
    swift("POST", "c", X_Container_Read=".r:*")
    assert anybody("GET", "c/l").status == 401 and stranger("GET", "c/l").status == 403
    assert anybody("GET", "c/l?symlink=get").status == 200
    swift("POST", "d", X_Container_Read=".r:*")
    assert anybody("GET", "c/l").content == b"target"
    own = Swift(cloud, "member@red")
    own.put("mine")
    account = swift.base.rpartition("/")[2]
    own.put("mine/l", X_Symlink_Target="d/t", X_Symlink_Target_Account=account)
    assert own("GET", "mine/l").content == b"target"
    swift("POST", "d", X_Container_Read="")
    assert own("GET", "mine/l").status == 403
    assert own("PUT", "mine/c", X_Copy_From="mine/l").status == 403


def test_copies(swift):
    swift.put("c/copy", X_Copy_From="c/l")
    assert swift("GET", "c/copy?symlink=get").content == b"target"
    swift("PUT", "c/link?symlink=get", X_Copy_From="c/l", X_Fresh_Metadata="true")
    got = swift("GET", "c/link?symlink=get")
    assert got.headers["x-symlink-target"] == "d/t" and "x-object-meta-of" not in got.headers
    assert swift("GET", "c/link").content == b"target"


def test_an_upload_replaces_the_link(swift):
    swift.put("c/l", b"own")
    assert swift("GET", "c/l").content == b"own" and swift("GET", "d/t").content == b"target"
