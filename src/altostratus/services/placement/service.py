# SPDX-License-Identifier: Apache-2.0
"""The manifest of placement."""

from typing import Any

from altostratus.kernel import log
from altostratus.kernel.errors import ApiError
from altostratus.kernel.policy import ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.versions import Microversions
from altostratus.services.placement.api.allocations import Allocations, Candidates, Reshaper, Usages
from altostratus.services.placement.api.inventories import ProviderParts
from altostratus.services.placement.api.names import ResourceClasses, Traits
from altostratus.services.placement.api.providers import ResourceProviders

VERSIONS = Microversions("placement", "1.0", "1.39")


def show_versions(call: Call) -> Reply:
    version = {
        "id": "v1.0",
        "max_version": str(VERSIONS.maximum),
        "min_version": str(VERSIONS.minimum),
        "status": "CURRENT",
        "links": [{"rel": "self", "href": ""}],
    }
    return Reply(200, {"versions": [version]})


class Root(Resource):
    """The version document."""

    show = Op("GET", "", None, ANY, show_versions, public=True, tx="none")


def envelope(error: ApiError, call: Any) -> dict[str, Any]:
    """`{"errors": [...]}`; `code` names the reason where upstream has one (microversion 1.23)."""
    shown: dict[str, Any] = {
        "status": error.status,
        "title": error.title,
        "detail": error.message,
        "request_id": log.current_request_id() if call is None else call.request_id,
    }
    code = error.details if isinstance(error.details, str) else "placement.undefined_code"
    if call is None or call.version is None or call.version >= (1, 23):
        shown["code"] = code
    if isinstance(error.details, dict):
        shown |= error.details
    return {"errors": [shown]}


SERVICE = Service(
    type="placement",
    name="placement",
    title="Placement",
    path="/placement",
    root="/placement",
    resources=(
        Root, ResourceProviders, ProviderParts, ResourceClasses, Traits, Allocations, Candidates, Usages, Reshaper,
    ),
    envelope=envelope,
    versions=VERSIONS,
    policy_namespace="placement",
    classic_port=8778,
)  # fmt: skip
