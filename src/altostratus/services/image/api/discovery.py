# SPDX-License-Identifier: Apache-2.0
"""What the image service is and can: versions, schemas, stores, import methods, usage, tasks."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden, NotFound
from altostratus.kernel.jobs.models import JobRow
from altostratus.kernel.policy import ADMIN, ANY
from altostratus.kernel.quota import UNLIMITED
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.image.api.images import Image
from altostratus.services.image.jobs.import_image import IMPORT_IMAGE, task_view
from altostratus.services.image.stores import import_methods, store_name, store_of

# minor versions: 14 and 16 are about an image cache, which there is none of
_MINORS = (15, *range(13, -1, -1))


def list_versions(call: Call) -> Reply:
    url = f"{call.host_url}{call.service.root}/v2/"
    versions = [
        {
            "id": f"v2.{minor}",
            "status": "CURRENT" if minor == _MINORS[0] else "SUPPORTED",
            "links": [{"rel": "self", "href": url}],
        }
        for minor in _MINORS
    ]
    explicit = call.path.rstrip("/").endswith("/versions")
    return Reply(200 if explicit else 300, {"versions": versions})


def list_stores(call: Call) -> Reply:
    return Reply(200, {"stores": [_store(call)]})


def list_stores_detail(call: Call) -> Reply:
    free = store_of(call.cloud).free_bytes()
    properties = {} if free is None else {"free_bytes": free}
    return Reply(200, {"stores": [_store(call) | {"type": "file", "weight": 0, "properties": properties}]})


def _store(call: Call) -> dict[str, Any]:
    return {"id": store_name(call.cloud), "default": "true", "description": "Images as files"}


def delete_from_store(call: Call) -> None:
    if call.params["store"] != store_name(call.cloud) or call.row.location is None:
        raise NotFound(f"Image {call.row.id} is not stored in store {call.params['store']}.")
    raise Forbidden("Cannot delete image data from the only store containing it. Consider deleting the image instead.")


def show_import(call: Call) -> Reply:
    methods = {"description": "Import methods available.", "type": "array", "value": list(import_methods())}
    return Reply(200, {"import-methods": methods})


def show_usage(call: Call) -> Reply:
    quotas = call.cloud.quotas("image")
    project_id = call.ctx.project_id or ""
    used, limits = quotas.usage(call.tx, project_id), quotas.limits(call.tx, project_id)
    return Reply(
        200, {"usage": {name: {"usage": used[name], "limit": limits.get(name, UNLIMITED)} for name in quotas.resources}}
    )


def list_tasks(call: Call) -> Reply:
    table = table_of(JobRow)
    statement = select(table).where(table.c.kind == IMPORT_IMAGE.kind).order_by(table.c.sequence.desc()).limit(100)
    tasks = [task_view(row) for row in call.tx.rows(statement)]
    return Reply(200, {"tasks": tasks, "first": "/v2/tasks", "schema": "/v2/schemas/tasks"})


def show_task(call: Call) -> Reply:
    row = call.cloud.jobs.find(call.tx, call.params["task_id"])
    if row is None or row.kind != IMPORT_IMAGE.kind:
        raise NotFound(f"No task with id {call.params['task_id']} was found.")
    return Reply(200, task_view(row))


def create_task(call: Call) -> Reply:
    raise BadRequest("Tasks cannot be made directly. Use POST /v2/images/{image_id}/import instead.")


def show_schema(call: Call) -> Reply:
    name = call.params["name"]
    singles = {"image": _image_schema, "member": _member_schema, "task": _task_schema}
    if name in singles:
        return Reply(200, singles[name]())
    if name.removesuffix("s") in singles:
        return Reply(200, _collection(name, singles[name.removesuffix("s")]()))
    raise NotFound(f"There is no schema {name}. Known: {', '.join([*singles, *(one + 's' for one in singles)])}.")


def _image_schema() -> dict[str, Any]:
    text, number, flag = {"type": ["null", "string"]}, {"type": ["null", "integer"]}, {"type": "boolean"}
    read_only: dict[str, dict[str, Any]] = {
        "status": {"type": "string", "description": "State of the image"},
        "checksum": text | {"maxLength": 32, "description": "MD5 of the data"},
        "os_hash_algo": text | {"maxLength": 64, "description": "Algorithm of os_hash_value"},
        "os_hash_value": text | {"maxLength": 128, "description": "Hash of the data"},
        "size": number | {"description": "Size of the data in bytes"},
        "virtual_size": number | {"description": "Size of the disk in bytes"},
        "created_at": {"type": "string", "description": "When it was made"},
        "updated_at": {"type": "string", "description": "When it was changed last"},
        "self": {"type": "string", "description": "URL of the image"},
        "file": {"type": "string", "description": "URL of the data"},
        "schema": {"type": "string", "description": "URL of this schema"},
        "stores": {"type": "string", "description": "Where the data is"},
    }
    properties = {
        field.wire: {**field.request_schema(), "description": field.doc}
        for field in Image.fields.values()
        if "c" in field.on
    }
    properties |= {"protected": flag | {"description": "It cannot be deleted"}}
    properties |= {name: schema | {"readOnly": True} for name, schema in read_only.items()}
    links = [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ]
    return {"name": "image", "properties": properties, "additionalProperties": {"type": "string"}, "links": links}


def _member_schema() -> dict[str, Any]:
    text = {"type": "string"}
    names = ("created_at", "image_id", "member_id", "schema", "updated_at")
    properties: dict[str, Any] = dict.fromkeys(names, text)
    return {"name": "member", "properties": properties | {"status": {"enum": ["pending", "accepted", "rejected"]}}}


def _task_schema() -> dict[str, Any]:
    names = ("id", "type", "status", "input", "result", "owner", "message", "created_at", "updated_at", "expires_at")
    return {"name": "task", "properties": {name: {"type": ["null", "string", "object"]} for name in names}}


def _collection(name: str, item: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {name: {"type": "array", "items": item}, "schema": {"type": "string"}}
    properties |= {"first": {"type": "string"}, "next": {"type": "string"}}
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}]
    return {"name": name, "properties": properties, "links": [*links, {"rel": "describedby", "href": "{schema}"}]}


class Versions(Resource):
    """Version documents."""

    root = Op("GET", "!", None, ANY, list_versions, public=True, tx="none")
    explicit = Op("GET", "!/versions", None, ANY, list_versions, public=True, tx="none")
    newest = Op("GET", "", None, ANY, list_versions, public=True, tx="none")


class Info(Resource):
    """What this cloud's image service offers."""

    schema = Op("GET", "/schemas/{name}", None, ANY, show_schema, tx="none")
    import_ = Op("GET", "/info/import", None, ANY, show_import, tx="none")
    stores = Op("GET", "/info/stores", None, ANY, list_stores, tx="none")
    stores_detail = Op("GET", "/info/stores/detail", "stores_info_detail", ADMIN, list_stores_detail)
    usage = Op("GET", "/info/usage", None, ANY, show_usage)


class Stores(Resource, path="/stores"):
    """Places of image data."""

    row = Image.row
    what = "image"
    scope = Image.scope
    remove = Op("DELETE", "/{store}/{id}", "delete_image_location", ADMIN, delete_from_store, status=204)


class Tasks(Resource, path="/tasks"):
    """Imports, as tasks."""

    index = Op("GET", "", "get_tasks", ADMIN, list_tasks)
    show = Op("GET", "/{task_id}", "get_task", ADMIN, show_task)
    make = Op("POST", "", "add_task", ADMIN, create_task)
