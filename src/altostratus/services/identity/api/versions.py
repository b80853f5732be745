# SPDX-License-Identifier: Apache-2.0
"""Version documents, for everybody."""

from typing import Any

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply

_MEDIA_TYPE = "application/vnd.openstack.identity-v3+json"


def _v3(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": call.service_url("/")}],
        "media-types": [{"base": "application/json", "type": _MEDIA_TYPE}],
    }


def list_versions(call: Call) -> Reply:
    return Reply(300, {"versions": {"values": [_v3(call)]}}, headers={"Location": call.service_url("/")})


def show_version(call: Call) -> Reply:
    return Reply(200, {"version": _v3(call)})


class Versions(Resource, path="!"):
    """Which versions there are."""

    index = Op("GET", "", None, "@", list_versions, tx="none", public=True)


class VersionThree(Resource):
    """What version 3 is."""

    show = Op("GET", "", None, "@", show_version, tx="none", public=True)
