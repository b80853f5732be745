# SPDX-License-Identifier: Apache-2.0
"""`/openapi/<service>.json`: OpenAPI documents made from the declarations, cached after the first request."""

from typing import Any

import falcon
import msgspec

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.resource.openapi import describe_service
from altostratus.kernel.resource.service import Service


class _Document:
    """One service's document."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._data: bytes | None = None

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        if self._data is None:
            self._data = msgspec.json.encode(describe_service(self._service))
        response.data = self._data
        response.content_type = "application/json"


class _Index:
    """The list of documents."""

    def __init__(self, names: list[str]) -> None:
        self._data = msgspec.json.encode(
            {"documents": [{"service": name, "href": f"/openapi/{name}.json"} for name in names]}
        )

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = self._data
        response.content_type = "application/json"


def openapi_documents(cloud: Cloud) -> dict[str, Any]:
    """Falcon resources by path."""
    services = list(cloud.all_services())
    documents: dict[str, Any] = {f"/openapi/{service.type}.json": _Document(service) for service in services}
    return documents | {"/openapi": _Index([service.type for service in services])}
