# SPDX-License-Identifier: Apache-2.0
"""A service's OpenAPI 3.1 document, derived from its declarations at their newest version."""

import re
from typing import Any

from altostratus.kernel.resource import validate
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.versions import Version

_NAME = re.compile(r"\{([a-z_]+)(?::path)?\}")


def describe_service(service: Service) -> dict[str, Any]:
    """The whole document as JSON-able data."""
    paths: dict[str, dict[str, Any]] = {}
    version = service.versions.maximum
    for op in service.operations():
        if not op.exists_at(version):
            continue
        whole = op.resource.path + op.path
        prefix = service.root if whole.startswith("!") else service.path
        path = _NAME.sub(r"{\1}", prefix + whole.removeprefix("!")) or "/"
        item = paths.setdefault(path, {})
        method = op.method.lower()
        if method in item and isinstance(op, Action):
            _add_action(item[method], op, version)
        else:
            item[method] = _describe_operation(service, op, path, version)
    return {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": str(version or "1"), "license": {"name": "Apache-2.0"}},
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}}},
    }


def _describe_operation(service: Service, op: Op, path: str, version: Version | None) -> dict[str, Any]:
    resource: type[Resource] = op.resource
    words = op.doc or (op.handler.__doc__ if op.handler else None) or resource.__doc__ or ""
    described: dict[str, Any] = {
        "operationId": re.sub(r"[^a-zA-Z0-9]+", "-", f"{op.method}-{path}").strip("-").lower(),
        "summary": words.strip().splitlines()[0] if words.strip() else "",
        "tags": [resource.what],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _NAME.findall(path)
        ]
        + _query_parameters(service, op),
        "responses": _responses(op, version),
    }
    if op.rule:
        described["x-policy-rule"] = op.rule
        described["x-persona"] = op.persona.name
    if not op.public:
        described["security"] = [{"token": []}]
    body = validate.body_schema(op, version)
    if op.stream == "in":
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        described["requestBody"] = {"required": True, "content": content}
    elif body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _add_action(described: dict[str, Any], op: Action, version: Version | None) -> None:
    content = described["requestBody"]["content"]["application/json"]
    schema = content["schema"]
    choices = schema.get("oneOf", [schema])
    body = validate.body_schema(op, version) or {"type": "object", "required": [op.action]}
    content["schema"] = {"oneOf": [*choices, body]}
    described["responses"] |= _responses(op, version)


def _query_parameters(service: Service, op: Op) -> list[dict[str, Any]]:
    if op.query is not None:
        return [{"name": name, "in": "query", "schema": schema} for name, schema in op.query.items()]
    if op.kind != "list":
        return []
    filters = [field.wire for field in op.resource.fields.values() if "f" in field.on]
    names = [*filters, "limit", "marker", "sort_key", "sort_dir"]
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in dict.fromkeys(names)]


def _responses(op: Op, version: Version | None) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "success"}
    schema = response_schema(op, version)
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    refusals = {"400": "bad input", "401": "no valid token", "403": "the policy says no", "404": "not found"}
    if op.method in ("POST", "PUT", "PATCH", "DELETE"):
        refusals |= {"409": "in conflict with what is there", "413": "too large or over quota"}
    return {str(op.status): success} | {status: {"description": words} for status, words in refusals.items()}


def response_schema(op: Op, version: Version | None) -> dict[str, Any] | None:
    """Schema of a successful answer of the kernel's own kinds; None where a handler makes it."""
    resource: type[Resource] = op.resource
    fields = resource.fields_on("r", version)
    if not fields or op.kind not in ("create", "list", "show", "update") or op.status == 204:
        return None
    one = {"type": "object", "properties": {field.wire: {} for field in fields}}
    if op.kind == "list":
        many = resource.many or "items"
        return {"type": "object", "properties": {many: {"type": "array", "items": one}}, "required": [many]}
    return {"type": "object", "properties": {resource.one: one}, "required": [resource.one]} if resource.one else one
