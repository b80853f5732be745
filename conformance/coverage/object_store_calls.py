# SPDX-License-Identifier: Apache-2.0
"""Every call of Swift's API reference, and of our own declarations: one member's photos, from the first to the last."""

import json

from conformance.coverage.steps import Call

# what a caller chooses
NAMES = {
    "account": "AUTH_{project_of_demo}",
    "container": "photos",
    "object": "hills/first.jpg",
    "second": "hills/second.jpg",
    "album": "album.jpg",
    "response": "v2",
}
_BY = "demo"
_SITE = "http://photos.example.org"
_ASKING = {"Origin": _SITE, "Access-Control-Request-Method": "GET"}
_SEGMENTS = json.dumps([{"path": "/photos/hills/first.jpg"}, {"path": "/photos/hills/second.jpg"}])
_EMPTY_ARCHIVE = "\0" * 10_240

WHOLE = (
    Call("GET /info", by=""),
    Call("GET /healthcheck", by=""),
    Call("GET /crossdomain.xml", by=""),
    Call("GET /v1/endpoints"),
)

ACCOUNTS = (
    Call(
        "POST /v1/{account}", headers={"X-Account-Meta-Book": "Moby Dick", "X-Account-Meta-Temp-URL-Key": "k"}, by=_BY
    ),
    Call("HEAD /v1/{account}", by=_BY),
    Call("GET /v1/{account}", query="format=json", by=_BY),
)

CONTAINERS = (
    Call("PUT /v1/{account}/{container}", headers={"X-Container-Meta-Access-Control-Allow-Origin": _SITE}, by=_BY),
    Call("POST /v1/{account}/{container}", headers={"X-Container-Read": ".r:*,.rlistings"}, by=_BY),
    Call("HEAD /v1/{account}/{container}", by=""),
    Call("GET /v1/{account}/{container}", query="format=xml&prefix=hills/&delimiter=/&reverse=on", by=_BY),
    Call("OPTIONS /v1/{account}/{container}", headers=_ASKING, by=""),
)

OBJECTS = (
    Call(
        "PUT /v1/{account}/{container}/{object}", "a picture of hills", headers={"Content-Type": "image/jpeg"}, by=_BY
    ),
    Call("PUT /v1/{account}/{container}/{second}", "another", headers={"X-Delete-After": "3600"}, by=_BY),
    Call("PUT /v1/{account}/{container}/{album}", _SEGMENTS, query="multipart-manifest=put", by=_BY),
    Call("POST /v1/{account}/{container}/{object}", headers={"X-Object-Meta-Season": "spring"}, by=_BY),
    Call("HEAD /v1/{account}/{container}/{object}", by=_BY),
    Call("GET /v1/{account}/{container}/{object}", headers={"Range": "bytes=2-8"}, by="", status=206),
    Call("OPTIONS /v1/{account}/{container}/{object}", headers=_ASKING, by=""),
    Call("GET /endpoints/{response}/{account}"),
    Call("GET /endpoints/{response}/{account}/{container}"),
    Call("GET /endpoints/{response}/{account}/{container}/{object}"),
    Call("COPY /v1/{account}/{container}/{object}", headers={"Destination": "photos/copied.jpg"}, by=_BY),
)

# accounts come with projects and go with them: these two carry archives and lists of what is to be deleted
MANY = (
    Call("PUT /v1/{account}", _EMPTY_ARCHIVE, query="extract-archive=tar", by=_BY, status=200),
    Call("DELETE /v1/{account}", "/photos/copied.jpg\n", query="bulk-delete", by=_BY, status=200),
)

ENDING = (
    Call("DELETE /v1/{account}/{container}/{album}", query="multipart-manifest=delete", by=_BY, status=200),
    Call("PUT /v1/{account}/{container}/{object}", "once more", by=_BY),
    Call("DELETE /v1/{account}/{container}/{object}", by=_BY),
    Call("DELETE /v1/{account}/{container}", by=_BY),
)

CALLS = (*WHOLE, *ACCOUNTS, *CONTAINERS, *OBJECTS, *MANY, *ENDING)
