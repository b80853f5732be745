# SPDX-License-Identifier: Apache-2.0
"""Temporary URLs: what they open, and everything that they must not."""

import base64
import hashlib
import hmac
import json
from urllib.parse import quote

import pytest
from falcon import testing

from altostratus.kernel import clock

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY, OTHER = "first key", "second key"


@pytest.fixture(autouse=True)
def filled(swift):
    swift.put("c")
    swift.put("c/o", b"data", X_Object_Meta_Secret="s", X_Object_Meta_Public_Note="n")
    swift("POST", "", X_Account_Meta_Temp_URL_Key=KEY, X_Account_Meta_Temp_URL_Key_2=OTHER)


def address(swift, path="c/o", method="GET", key=KEY, *, seconds=60, digest="sha256", root="/object-store", more=""):
    expires = int(clock.unix()) + seconds
    whole = root + swift.base.removeprefix("/object-store") + "/" + path
    made = hmac.new(key.encode(), f"{method}\n{expires}\n{whole}".encode(), digest)
    return f"{path}?temp_url_sig={made.hexdigest()}&temp_url_expires={expires}{more}"


@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("root", ["", "/object-store"])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_down(swift, anybody, key, root, digest):
    got = anybody("GET", address(swift, key=key, root=root, digest=digest))
    assert got.status == 200 and got.content == b"data"
    assert got.headers["content-disposition"].startswith('attachment; filename="o"')
    assert got.headers["x-object-meta-public-note"] == "n" and "x-object-meta-secret" not in got.headers


def test_up_and_away(swift, anybody):
    assert anybody("PUT", address(swift, "c/new", "PUT"), b"new").status == 201
    assert anybody("HEAD", address(swift, "c/new", "PUT")).status == 200
    assert anybody("DELETE", address(swift, "c/new", "DELETE")).status == 204


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_only_its_method(swift, anybody, method):
    assert anybody(method, address(swift), b"x").status == 401
    assert anybody("GET", address(swift, method="PUT")).status == 401


def test_what_is_no_good(swift, anybody, stranger):
    good = address(swift)
    for bad in (
        address(swift, key="wrong"),
        address(swift, seconds=-1),
        address(swift, digest="sha1"),
        good.replace("c/o?", "c/p?"),
        good.replace("temp_url_expires=", "temp_url_expires=1"),
        good.replace("temp_url_sig=", "temp_url_sig=0"),
        good.replace("temp_url_sig=", "temp_url_sig=x"),
        good.partition("&")[0],
        "c/none?" + good.partition("?")[2],
    ):
        assert anybody("GET", bad).status == 401, bad
        assert stranger("GET", bad).status == 401, bad
    assert anybody("GET", "c?" + good.partition("?")[2]).status == 401


def test_the_containers_key_opens_the_container(swift, anybody):
    swift("PUT", "d", X_Container_Meta_Temp_URL_Key="mine")
    swift.put("d/o", b"1")
    assert anybody("GET", address(swift, "d/o", key="mine")).status == 200
    assert anybody("GET", address(swift, "c/o", key="mine")).status == 401


def test_segments_behind_an_address(swift, anybody):
    swift("PUT", "d", X_Container_Meta_Temp_URL_Key="mine")
    for container in ("c", "d"):
        swift("PUT", "d/big?multipart-manifest=put", json.dumps([{"path": f"/{container}/o"}]))
        if container == "d":
            break
        assert anybody("GET", address(swift, "d/big")).content == b"data"
        assert anybody("GET", address(swift, "d/big", key="mine")).status == 401
        swift.put("d/o", b"inner")
    assert anybody("GET", address(swift, "d/big", key="mine")).content == b"inner"


def test_prefixes_and_networks(swift, anybody, cloud):
    swift.put("c/a/1", b"1")
    expires = int(clock.unix()) + 60

    def signed(text):
        return hmac.new(KEY.encode(), text.encode(), hashlib.sha512).digest()

    prefix = quote("sha512:" + base64.urlsafe_b64encode(signed(f"GET\n{expires}\nprefix:{swift.base}/c/a/")).decode())
    tail = f"?temp_url_sig={prefix}&temp_url_expires={expires}&temp_url_prefix=a/"
    assert anybody("GET", "c/a/1" + tail).content == b"1"
    assert anybody("GET", "c/o" + tail).status == 401
    for network, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 401), ("nonsense", 401)):
        signature = signed(f"ip={network}\nGET\n{expires}\n{swift.base}/c/o").hex()
        query = f"temp_url_sig={signature}&temp_url_expires={expires}&temp_url_ip_range={network}"
        client = testing.TestClient(cloud.app)
        got = client.simulate_get(f"{swift.base}/c/o", query_string=query, remote_addr="127.0.0.5")
        assert got.status_code == status, network


def test_uploads_by_address_point_nowhere(swift, anybody):
    swift("PUT", "private")
    swift.put("private/o", b"secret")
    url = address(swift, "c/x", "PUT")
    assert anybody("PUT", url, b"", X_Object_Manifest="private/o").status == 400
    assert anybody("PUT", url, b"", X_Copy_From="private/o").status == 400
    assert anybody("PUT", url, b"", X_Symlink_Target="private/o").status == 400


def test_links_behind_an_address(swift, anybody, stranger):
    swift("PUT", "d", X_Container_Meta_Temp_URL_Key="mine")
    swift.put("d/l", X_Symlink_Target="c/o")
    assert anybody("GET", address(swift, "d/l")).content == b"data"
    assert anybody("GET", address(swift, "d/l", key="mine")).status == 401
    foreign = type(swift)(stranger.cloud, "member@red")
    foreign("PUT", "f", X_Container_Read=".r:*")
    foreign.put("f/o", b"foreign")
    swift.put("d/a", X_Symlink_Target="f/o", X_Symlink_Target_Account=foreign.base.rpartition("/")[2])
    assert anybody("GET", address(swift, "d/a")).status == 401


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ("&filename=x%22%0d%0ay", "attachment; filename=\"x___y\"; filename*=UTF-8''x%22%0D%0Ay"),
        ("&inline", "inline"),
        ("&inline&filename=f", "inline; filename=\"f\"; filename*=UTF-8''f"),
    ],
)
def test_file_names(swift, anybody, more, shown):
    assert anybody("GET", address(swift, more=more)).headers["content-disposition"] == shown


def test_keys_are_the_owners(swift, cloud):
    swift("POST", "c", X_Container_Meta_Temp_URL_Key="k", X_Container_Read="reader,.r:*")
    reader = type(swift)(cloud, "reader", "member")
    for path in ("", "c"):
        assert any("temp-url-key" in name for name in swift("HEAD", path).headers)
        assert not any("temp-url-key" in name for name in reader("HEAD", path).headers)
    assert "x-container-read" not in reader("HEAD", "c").headers
