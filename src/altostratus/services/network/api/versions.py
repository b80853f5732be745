# SPDX-License-Identifier: Apache-2.0
"""The version list at the root, and the list of resources at `/v2.0`."""

from typing import Any

from altostratus.kernel.policy import ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply

_COLLECTIONS = {
    "network": "networks",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
    "port": "ports",
    "router": "routers",
    "floatingip": "floatingips",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
}


def list_versions(call: Call) -> Any:
    """The versions of the API."""
    version = {
        "id": "v2.0",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": call.service_url("/")}],
    }
    return Reply(200, {"versions": [version]})


def list_resources(call: Call) -> Any:
    """The resources of the API."""
    resources = [
        {
            "name": name,
            "collection": collection,
            "links": [{"rel": "self", "href": call.service_url("/" + collection)}],
        }
        for name, collection in _COLLECTIONS.items()
    ]
    return Reply(200, {"resources": resources})


class Versions(Resource, path=""):
    """Where everything begins."""

    versions = Op("GET", "!", None, ANY, list_versions, tx="none", public=True)
    resources = Op("GET", "", None, ANY, list_resources, tx="none", public=True)
