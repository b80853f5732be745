# SPDX-License-Identifier: Apache-2.0
"""`/images`, before 2.36, and their metadata, before 2.39: the image service's images in old clothes."""

from typing import Any, Final
from urllib.parse import urlencode

from altostratus.kernel import clock
from altostratus.kernel.errors import BadRequest, Forbidden, NotFound, TooLarge
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import METADATA, limited, links, wrapped
from altostratus.services.image import public as image
from altostratus.services.image.public import ImageInfo

_LAST: Final = "2.35"
_LAST_METADATA: Final = "2.38"
_STATUS: Final = {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING"}
_PROGRESS: Final = {"queued": 25, "saving": 50, "active": 100}
_LONGEST: Final = 1000
_METADATA = wrapped("metadata", METADATA)
_META = wrapped("meta", {**METADATA, "minProperties": 1, "maxProperties": 1})


def _links(call: Call, found: ImageInfo) -> list[dict[str, str]]:
    alternate = f"{call.host_url}/image/images/{found.id}"
    kind = "application/vnd.openstack.image"
    return [*links(call, "images", found.id), {"rel": "alternate", "type": kind, "href": alternate}]


def _brief(call: Call, found: ImageInfo) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "links": _links(call, found)}


def _whole(call: Call, found: ImageInfo) -> dict[str, Any]:
    shown = _brief(call, found) | {
        "minRam": found.min_ram_mib,
        "minDisk": found.min_disk_gib,
        "metadata": found.properties,
        "created": clock.iso_z(clock.Timestamp(found.created_at)),
        "updated": clock.iso_z(clock.Timestamp(found.updated_at)),
        "status": _STATUS.get(found.status, "UNKNOWN"),
        "progress": _PROGRESS.get(found.status, 0),
        "OS-EXT-IMG-SIZE:size": found.size_bytes,
    }
    server_id = found.properties.get("instance_uuid")
    if server_id:
        shown["server"] = {"id": server_id, "links": links(call, "servers", server_id)}
    return shown


def _number(name: str, text: str) -> int:
    found = whole_number(text)
    if found is None:
        raise BadRequest(f"Invalid {name} filter {text!r}: use a whole number.")
    return found


def _fits(found: ImageInfo, name: str, value: str) -> bool:
    """Does the image pass one filter of the query?"""
    if name == "changes-since":
        return bool(clock.parse(found.updated_at) >= _moment(value))
    if name == "server":
        return bool(found.properties.get("instance_uuid") == value.rstrip("/").rpartition("/")[2])
    if name == "type":
        return bool(found.properties.get("image_type", "base").lower() == value.lower())
    if name.startswith("property-"):
        return bool(found.properties.get(name.removeprefix("property-")) == value)
    facts = {
        "name": found.name,
        "status": _STATUS.get(found.status, "UNKNOWN"),
        "minRam": found.min_ram_mib,
        "minDisk": found.min_disk_gib,
    }
    if name in ("minRam", "minDisk"):
        return facts[name] == _number(name, value)
    return name not in facts or facts[name] == (value.upper() if name == "status" else value)


def _moment(text: str) -> Any:
    try:
        return clock.parse(text)
    except ValueError:
        raise BadRequest(f"Invalid changes-since {text!r}: use ISO 8601, e.g. 2026-01-31T12:00:00Z.") from None


def list_images(call: Call) -> Reply:
    """Images that the caller can see."""
    found = image.list_images(call.tx, call.ctx)
    for name, values in call.query.items():
        if name not in ("limit", "marker", "offset"):
            found = [one for one in found if _fits(one, name, values[-1])]
    marker = call.query.get("marker", [""])[-1]
    if marker:
        places = [place for place, one in enumerate(found) if one.id == marker]
        if not places:
            raise BadRequest(f"marker [{marker}] not found")
        found = found[places[0] + 1 :]
    page = limited(call, found)
    show = _whole if call.op.path == "/detail" else _brief
    body: dict[str, Any] = {"images": [show(call, one) for one in page]}
    if page and len(page) < len(found) and "limit" in call.query:
        query = {name: values[-1] for name, values in call.query.items()} | {"marker": page[-1].id}
        body["images_links"] = [{"rel": "next", "href": f"{call.url_without_query()}?{urlencode(query)}"}]
    return Reply(200, body)


def _get(call: Call) -> ImageInfo:
    try:
        return image.get_image(call.tx, call.ctx, call.params["id"])
    except NotFound:
        raise NotFound("Image not found.") from None


def show_image(call: Call) -> Reply:
    return Reply(200, {"image": _whole(call, _get(call))})


def delete_image(call: Call) -> Reply:
    found = _get(call)
    image.demand(call.tx, call.cloud, call.ctx, "delete_image", found.id)
    image.delete_image(
        call.tx, call.cloud, found.id,
        request_id=call.request_id, project_id=call.ctx.project_id, user_id=call.ctx.user_id,
    )  # fmt: skip
    return Reply(204)


class Images(Resource, path="/images"):
    """Images. Use the image service, whose policy is asked here too."""

    index = Op("GET", "", None, ANY, list_images, until=_LAST)
    detail = Op("GET", "/detail", None, ANY, list_images, until=_LAST)
    show = Op("GET", "/{id}", None, ANY, show_image, until=_LAST)
    delete = Op("DELETE", "/{id}", None, ANY, delete_image, until=_LAST)


def _change(call: Call, properties: dict[str, str]) -> None:
    image.demand(call.tx, call.cloud, call.ctx, "modify_image", call.params["id"])
    try:
        image.set_properties(call.tx, call.cloud, call.params["id"], properties)
    except TooLarge as error:
        raise Forbidden(str(error)) from None


def list_metadata(call: Call) -> Reply:
    return Reply(200, {"metadata": _get(call).properties})


def update_metadata(call: Call) -> Reply:
    """Add some, keep the others."""
    properties = _get(call).properties | call.body["metadata"]
    _change(call, properties)
    return Reply(200, {"metadata": properties})


def replace_metadata(call: Call) -> Reply:
    """These and no others."""
    _get(call)
    _change(call, call.body["metadata"])
    return Reply(200, {"metadata": call.body["metadata"]})


def _item(call: Call) -> tuple[ImageInfo, str]:
    found, key = _get(call), call.params["key"]
    if key not in found.properties:
        raise NotFound("Metadata item was not found")
    return found, key


def show_item(call: Call) -> Reply:
    found, key = _item(call)
    return Reply(200, {"meta": {key: found.properties[key]}})


def set_item(call: Call) -> Reply:
    found, key = _get(call), call.params["key"]
    if key not in call.body["meta"]:
        raise BadRequest("Request body and URI mismatch: the body must hold the key of the URL.")
    _change(call, found.properties | call.body["meta"])
    return Reply(200, {"meta": call.body["meta"]})


def delete_item(call: Call) -> Reply:
    found, key = _item(call)
    _change(call, {name: value for name, value in found.properties.items() if name != key})
    return Reply(204)


class ImageMetadata(Resource, path="/images/{id}/metadata"):
    """Properties of images. Use the image service."""

    index = Op("GET", "", None, ANY, list_metadata, until=_LAST_METADATA)
    update = Op("POST", "", None, ANY, update_metadata, until=_LAST_METADATA, body=_METADATA)
    replace = Op("PUT", "", None, ANY, replace_metadata, until=_LAST_METADATA, body=_METADATA)
    show = Op("GET", "/{key}", None, ANY, show_item, until=_LAST_METADATA)
    set = Op("PUT", "/{key}", None, ANY, set_item, until=_LAST_METADATA, body=_META)
    delete = Op("DELETE", "/{key}", None, ANY, delete_item, until=_LAST_METADATA)
