# SPDX-License-Identifier: Apache-2.0
"""Scripts of other sites: what a browser is told."""

import pytest

SITE, OTHER = "https://site.example", "https://other.example"
ALLOW = "access-control-allow-origin"


@pytest.fixture(autouse=True)
def filled(swift):
    allowed = f"{SITE} https://second.example"
    settings = {"Allow_Origin": allowed, "Max_Age": "5", "Expose_Headers": "X-Mine, X-Yours"}
    named = {f"X_Container_Meta_Access_Control_{name}": text for name, text in settings.items()}
    swift("PUT", "c", X_Container_Read=".r:*", **named)
    swift.put("c/o", b"1", X_Object_Meta_Note="n")


def ask(anybody, path="c/o", origin=SITE, method="GET", **headers):
    return anybody("OPTIONS", path, Origin=origin, Access_Control_Request_Method=method, **headers)


@pytest.mark.parametrize("path", ["c", "c/o", "c/none"])
def test_preflight(anybody, path):
    got = ask(anybody, path, Access_Control_Request_Headers="x-auth-token,x-b")
    assert got.status == 200 and got.headers[ALLOW] == SITE
    assert "PUT" in got.headers["access-control-allow-methods"] and got.headers["access-control-max-age"] == "5"
    assert got.headers["access-control-allow-headers"] == "x-auth-token, x-b"
    assert "Origin" in got.headers["vary"]


def test_preflight_refused(anybody):
    for answer in (
        ask(anybody, origin=OTHER),
        ask(anybody, origin="https://site.example.evil"),
        ask(anybody, method="TRACE"),
        ask(anybody, "none/o"),
        anybody("OPTIONS", "c/o", Origin=SITE),
    ):
        assert answer.status == 401 and ALLOW not in answer.headers
    assert ask(anybody, "c", method="COPY").status == 401
    assert ask(anybody, "c/o", method="COPY").status == 200
    assert "GET" in anybody("OPTIONS", "c").headers["allow"]


def test_answers_and_refusals_are_readable(anybody):
    got = anybody("GET", "c/o", Origin=SITE)
    assert got.content == b"1" and got.headers[ALLOW] == SITE and got.headers["vary"] == "Origin"
    exposed = got.headers["access-control-expose-headers"].split(", ")
    assert {"etag", "x-trans-id", "x-object-meta-note", "x-mine", "x-yours"} <= set(exposed)
    assert anybody("GET", "c/none", Origin=SITE).headers[ALLOW] == SITE
    assert anybody("PUT", "c/o", b"x", Origin=SITE).headers[ALLOW] == SITE
    for origin in (OTHER, ""):
        got = anybody("GET", "c/o", Origin=origin)
        assert got.status == 200 and ALLOW not in got.headers
    assert ALLOW not in anybody("GET", "c/o").headers


def test_everybody(swift, anybody):
    swift("POST", "c", X_Container_Meta_Access_Control_Allow_Origin="*")
    assert ask(anybody, origin=OTHER).headers[ALLOW] == "*"
    assert anybody("GET", "c/o", Origin=OTHER).headers[ALLOW] == "*"


@pytest.mark.parametrize("root", ["", "/object-store"])
def test_crossdomain(cloud, root):
    got = cloud.client(None).get(f"{root}/crossdomain.xml")
    assert got.status == 200 and got.text.endswith("</cross-domain-policy>")
