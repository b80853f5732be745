# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/metadata` and `/servers/{id}/tags`: words that users hang on their servers."""

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.servers.schemas import TAG, TAGS
from altostratus.services.compute.api.shared import METADATA, wrapped
from altostratus.services.compute.logic import limits, servers

_CHANGEABLE = ("active", "paused", "suspended", "stopped")
_TAGGABLE = ("active", "paused", "suspended", "stopped")
_MOST_TAGS = 50
_ONE = {**METADATA, "minProperties": 1, "maxProperties": 1}


def _store(call: Call, metadata: dict[str, str]) -> None:
    limits.demand_metadata(call.tx, call.cloud, call.row.project_id, len(metadata))
    servers.touch(call.tx, call.row.id, custom_metadata=metadata)


def list_metadata(call: Call) -> Reply:
    return Reply(200, {"metadata": call.row.custom_metadata or {}})


def merge_metadata(call: Call) -> Reply:
    """Add or change some keys."""
    demand(call, "update metadata", _CHANGEABLE)
    merged = (call.row.custom_metadata or {}) | call.body["metadata"]
    _store(call, merged)
    return Reply(200, {"metadata": merged})


def replace_metadata(call: Call) -> Reply:
    """Put these keys in the place of all others."""
    demand(call, "update metadata", _CHANGEABLE)
    _store(call, call.body["metadata"])
    return Reply(200, {"metadata": call.body["metadata"]})


def _get_key(call: Call) -> str:
    key = call.params["key"]
    if key not in (call.row.custom_metadata or {}):
        raise NotFound(f"Metadata item was not found: the server has no key {key!r}.")
    return key


def show_key(call: Call) -> Reply:
    key = _get_key(call)
    return Reply(200, {"meta": {key: call.row.custom_metadata[key]}})


def set_key(call: Call) -> Reply:
    demand(call, "update metadata", _CHANGEABLE)
    meta, key = call.body["meta"], call.params["key"]
    if set(meta) != {key}:
        raise BadRequest("Request body and URI mismatch: meta must hold the key of the URL.")
    _store(call, (call.row.custom_metadata or {}) | meta)
    return Reply(200, {"meta": meta})


def delete_key(call: Call) -> None:
    key = _get_key(call)
    demand(call, "delete metadata", _CHANGEABLE)
    _store(call, {name: value for name, value in call.row.custom_metadata.items() if name != key})


def list_tags(call: Call) -> Reply:
    return Reply(200, {"tags": call.row.tags or []})


def show_tag(call: Call) -> Reply:
    if call.params["tag"] not in (call.row.tags or []):
        raise NotFound(f"Server {call.row.id} has no tag '{call.params['tag']}'.")
    return Reply(204)


def add_tag(call: Call) -> Reply:
    """201 for a new tag, 204 for one that was there."""
    demand(call, "update tags", _TAGGABLE)
    tag, tags = call.params["tag"], list(call.row.tags or [])
    if not 0 < len(tag) <= TAG["maxLength"] or "," in tag or "/" in tag:
        raise BadRequest(f"Tag {tag!r} is invalid. It must be a string of 1 to 60 characters without '/' and ','.")
    if tag in tags:
        return Reply(204)
    if len(tags) >= _MOST_TAGS:
        raise BadRequest(f"The number of tags exceeded the per-server limit {_MOST_TAGS}.")
    servers.touch(call.tx, call.row.id, tags=[*tags, tag])
    href = f"{call.service_url('/servers/')}{call.row.id}/tags/{tag}"
    return Reply(201, headers={"Location": href})


def replace_tags(call: Call) -> Reply:
    demand(call, "update tags", _TAGGABLE)
    tags = list(dict.fromkeys(call.body["tags"]))
    servers.touch(call.tx, call.row.id, tags=tags)
    return Reply(200, {"tags": tags})


def delete_tag(call: Call) -> Reply:
    demand(call, "delete tags", _TAGGABLE)
    tag = call.params["tag"]
    if tag not in (call.row.tags or []):
        raise NotFound(f"Server {call.row.id} has no tag '{tag}'.")
    servers.touch(call.tx, call.row.id, tags=[one for one in call.row.tags if one != tag])
    return Reply(204)


def delete_tags(call: Call) -> Reply:
    demand(call, "delete tags", _TAGGABLE)
    servers.touch(call.tx, call.row.id, tags=[])
    return Reply(204)


def _rule(name: str) -> str:
    return f"os_compute_api:server-metadata:{name}"


class ServerMetadata(ServerChild, path="/servers"):
    """Keys and values of a server."""

    index = Op("GET", "/{id}/metadata", _rule("index"), READER, list_metadata)
    merge = Op("POST", "/{id}/metadata", _rule("create"), MEMBER, merge_metadata, body=wrapped("metadata", METADATA))
    replace = Op(
        "PUT", "/{id}/metadata", _rule("update_all"), MEMBER, replace_metadata, body=wrapped("metadata", METADATA)
    )
    show = Op("GET", "/{id}/metadata/{key}", _rule("show"), READER, show_key)
    set = Op("PUT", "/{id}/metadata/{key}", _rule("update"), MEMBER, set_key, body=wrapped("meta", _ONE))
    delete = Op("DELETE", "/{id}/metadata/{key}", _rule("delete"), MEMBER, delete_key, status=204)


class ServerTags(ServerChild, path="/servers"):
    """Tags of a server."""

    index = Op("GET", "/{id}/tags", "os_compute_api:os-server-tags:index", READER, list_tags, since="2.26")
    replace = Op(
        "PUT", "/{id}/tags", "os_compute_api:os-server-tags:update_all", MEMBER, replace_tags, since="2.26",
        body=wrapped("tags", TAGS),
    )  # fmt: skip
    clear = Op("DELETE", "/{id}/tags", "os_compute_api:os-server-tags:delete_all", MEMBER, delete_tags, since="2.26")
    show = Op("GET", "/{id}/tags/{tag}", "os_compute_api:os-server-tags:show", READER, show_tag, since="2.26")
    add = Op("PUT", "/{id}/tags/{tag}", "os_compute_api:os-server-tags:update", MEMBER, add_tag, since="2.26")
    delete = Op("DELETE", "/{id}/tags/{tag}", "os_compute_api:os-server-tags:delete", MEMBER, delete_tag, since="2.26")
