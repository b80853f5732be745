# SPDX-License-Identifier: Apache-2.0
"""Containers as web sites."""

import pytest

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def site(swift):
    swift("PUT", "c", X_Container_Read=".r:*,.rlistings")
    swift.put("c/index.html", b"home", Content_Type="text/html")
    swift.put("c/a/index.html", b"a")
    swift.put("c/b/deep/x", b"x")
    return lambda **settings: swift(
        "POST", "c", **{f"X_Container_Meta_Web_{name}": text for name, text in settings.items()}
    )


def test_pages_of_folders(site, anybody):
    assert anybody("GET", "c/").text.splitlines()[0] == "a/index.html"  # no site yet
    site(Index="index.html")
    moved = anybody("GET", "c")
    assert moved.status == 301 and moved.headers["location"] == anybody.base + "/c/"
    assert anybody("GET", "c/").content == b"home"
    assert anybody("HEAD", "c/").headers["content-type"] == "text/html"
    assert anybody("GET", "c/a").headers["location"] == anybody.base + "/c/a/"
    assert anybody("GET", "c/a/").content == b"a"
    assert anybody("GET", "c/b").status == 301
    assert anybody("GET", "c/b/").status == 404
    assert anybody("GET", "c/none").status == anybody("GET", "c/none/").status == 404


def test_listings(site, swift, anybody):
    site(Listings="true")
    swift.put("c/b/%3Cscript%3E", b"1")
    swift.put("c/b/javascript:1", b"1")
    swift.put("c/b//evil.example", b"1")
    page = anybody("GET", "c/b/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert '<a href="../">' in page.text and '<a href="./deep/">' in page.text
    assert "<script>" not in page.text and '<a href="./%3Cscript%3E">&lt;script&gt;</a>' in page.text
    assert 'href="./javascript%3A1"' in page.text and 'href=".//"' in page.text
    assert '<link rel="stylesheet"' not in page.text
    site(Listings_CSS='x".css')
    assert 'type="text/css" href="../x%22.css" />' in anybody("GET", "c/b/").text
    assert anybody("GET", "c/none/").status == 404


def test_listings_need_leave_to_list(site, swift, anybody):
    site(Listings="true")
    swift("POST", "c", X_Container_Read=".r:*")
    assert anybody("GET", "c/").status == 401
    assert anybody("GET", "c/index.html").status == 200


def test_private_sites_tell_nothing(site, swift, anybody, stranger):
    site(Index="index.html", Listings="true")
    swift("POST", "c", X_Container_Read="")
    for path in ("c", "c/", "c/a", "c/a/", "c/none", "c/b/"):
        assert anybody("GET", path).status == 401, path
        assert stranger("GET", path, X_Web_Mode="true").status == 403, path


def test_only_when_it_is_wanted(site, swift, anybody):
    site(Index="index.html")
    assert swift("GET", "c").text.splitlines()[0] == "a/index.html"
    assert swift("GET", "c/", X_Web_Mode="true").content == b"home"
    assert anybody("GET", "c", X_Web_Mode="false").text.splitlines()[0] == "a/index.html"
    assert anybody("PUT", "c/").status == 401


def test_error_pages(site, swift, anybody):
    site(Index="index.html", Error="error.html")
    assert b"could not be found" in anybody("GET", "c/none").content
    swift.put("c/404error.html", b"lost", Content_Type="text/html")
    swift.put("c/401error.html", b"log in")
    for path in ("c/none", "c/none/", "c/b/"):
        got = anybody("GET", path)
        assert (got.status, got.content) == (404, b"lost"), path
        assert got.headers["content-type"] == "text/html", path
    swift("POST", "c", X_Container_Read="")
    for path in ("c", "c/", "c/index.html", "c/none"):
        got = anybody("GET", path)
        assert (got.status, got.content) == (401, b"log in"), path
        assert "www-authenticate" in got.headers


def test_an_error_page_shows_no_other_container(site, swift, anybody):
    site(Error="error.html")
    swift.put("private")
    swift.put("private/s", b"secret")
    swift("PUT", "c/404error.html", X_Object_Manifest="private/s")
    got = anybody("GET", "c/none")
    assert got.status in (401, 404) and b"secret" not in got.content


def test_objects_that_stand_for_folders(site, swift, anybody):
    site(Index="index.html", Directory_Type="text/dir")
    swift.put("c/a", b"", Content_Type="text/dir")
    assert anybody("GET", "c/a").headers["location"] == anybody.base + "/c/a/"
    swift.put("c/a", b"real", Content_Type="text/dir")
    assert anybody("GET", "c/a").content == b"real"
