# SPDX-License-Identifier: Apache-2.0
"""Images: create, list, show, update, delete, states, tags."""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec
from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden, NotFound, UnsupportedMediaType
from altostratus.kernel.policy import ADMIN, READER, Persona, Rule
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field, Time
from altostratus.kernel.resource.fragments import Fragments
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.jobs.delete_data import start_delete_data
from altostratus.services.image.logic import filters, images, patch
from altostratus.services.image.logic.visibility import VISIBILITIES, policy_target, visible_by_id, visible_in_lists
from altostratus.services.image.models import ImageRow
from altostratus.services.image.stores import import_methods, store_name

_OTHERS = "project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
SEES = Persona(
    "whoever can see the image",
    f"rule:context_is_admin or (role:reader and (project_id:%(project_id)s or {_OTHERS}))",
)
DOWNLOADS = Persona(
    "a member who can see the image",
    f"rule:context_is_admin or (role:member and (project_id:%(project_id)s or {_OTHERS}))",
)
OWNS = Persona("a member of the owner", "rule:context_is_admin or (role:member and project_id:%(project_id)s)")
CREATES = Persona(
    "a member", "rule:context_is_admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
)
_MEMBERS_OF_PATCH = frozenset(
    (
        "name", "visibility", "protected", "os_hidden", "owner", "container_format", "disk_format", "min_ram",
        "min_disk", "tags",
    )
)  # fmt: skip
_RULE_OF_VISIBILITY = {"public": "publicize_image", "community": "communitize_image"}


def target(call: Call) -> dict[str, Any]:
    """For the policy: the image that `{id}` names, as the caller stands to it."""
    return policy_target(call.tx, call.ctx, call.row)


def scope(call: Call, statement: Any, listing: bool) -> Any:
    if listing:
        return statement.where(*visible_in_lists(call.ctx, call.query))
    condition = visible_by_id(call.ctx)
    return statement if condition is None else statement.where(condition)


def _fragments(call: Call, rows: list[Any]) -> list[msgspec.Raw]:
    def render(ids: list[str]) -> dict[str, Any]:
        table, store = table_of(ImageRow), store_name(call.cloud)
        found = call.tx.rows(select(table).where(table.c.id.in_(ids)))
        return {row.id: images.image_view(row, store) for row in found}

    return call.cloud.part(Fragments).many("image", [(row.id, row.etag) for row in rows], render)


def shown(call: Call, image_id: str, status: int = 200) -> Reply:
    """The image as it is now."""
    row = call.tx.get(ImageRow, image_id, what="image")
    return Reply(status, images.image_view(row, store_name(call.cloud)))


def list_images(call: Call) -> Reply:
    query = call.query
    if "sort" in query and ("sort_key" in query or "sort_dir" in query):
        raise BadRequest("Old and new sorting syntax cannot be combined. Use sort=<key>:<direction>,... alone.")
    directions, keys = query.get("sort_dir", []), query.get("sort_key", [])
    if len(directions) > 1 and len(directions) != len(keys):
        raise BadRequest("Number of sort dirs does not match the number of sort keys.")
    if "limit" not in query:
        call.query = query = query | {"limit": [str(call.cloud[ImageOptions].default_limit)]}
        asked = False
    else:
        asked = True
    table = table_of(ImageRow).c
    page = call.list_rows(select(table.id, table.etag).where(*filters.conditions_of(query)))
    if not asked:
        call.query = {name: values for name, values in query.items() if name != "limit"}
    page_ids = [row.id for row in page.rows[-1:]]
    body = lists.wrap(
        call, call.resource, _fragments(call, page.rows), page_ids, page.more and bool(page_ids), call.service.style
    )
    return Reply(200, body)


def show_image(call: Call) -> Reply:
    return Reply(200, _fragments(call, [call.row])[0])


def create_target(call: Call) -> dict[str, Any]:
    """Without a project there is no owner, so neither a token of a domain nor one without scope is the owner's."""
    owner = call.body.get("owner", call.ctx.project_id)
    named = {"project_id": owner, "tenant_id": owner, "owner": owner} if owner else {}
    return {**named, "visibility": call.body.get("visibility", "shared")}


def create_image(call: Call) -> Reply:
    values: dict[str, Any] = {"owner": call.ctx.project_id} | call.body
    demand_visibility(call, values.get("visibility"), create_target(call))
    made = images.create_image(call.tx, call.cloud, values, call.extra)
    call.reply_headers |= {
        "Location": call.host_url + f"{call.service.root}/v2/images/{made.id}",
        "OpenStack-image-import-methods": ",".join(import_methods()),
        "OpenStack-image-store-ids": store_name(call.cloud),
    }
    return shown(call, made.id, 201)


def demand_visibility(call: Call, visibility: str | None, target: dict[str, Any]) -> None:
    """Publishing has rules of its own."""
    rule = _RULE_OF_VISIBILITY.get(visibility or "")
    if rule is not None:
        call.demand(rule, target | {"visibility": visibility})


def update_image(call: Call) -> Reply:
    draft = patch.CONTENT_TYPES.get(call.headers.get("CONTENT-TYPE", "").partition(";")[0].strip())
    if draft is None:
        allowed = ", ".join(sorted(patch.CONTENT_TYPES))
        raise UnsupportedMediaType(
            f"Image PATCH expects Content-Type one of: {allowed}.", headers={"Accept-Patch": allowed}
        )
    changes = patch.parse(call.body, draft)
    for change in changes:
        if change.name == "id" or change.name not in _MEMBERS_OF_PATCH:
            images.check_property("self" if change.name == "id" else change.name, "")
    patched = patch.apply(changes, _MEMBERS_OF_PATCH, call.row.properties, draft)
    members = _checked_members(call, patched.members)
    for name, value in patched.properties.items():
        if call.row.properties.get(name) != value:
            images.check_property(name, value)
    images.check_limits(call.cloud, patched.properties, members.get("tags", call.row.tags))
    if members or patched.properties != call.row.properties:
        images.change(call.tx, call.row.id, properties=patched.properties, **members)
        images.emit(call.tx, call.cloud, "image.update", call.tx.get(ImageRow, call.row.id))
    return shown(call, call.row.id)


def _checked_members(call: Call, members: dict[str, Any]) -> dict[str, Any]:
    for name, value in members.items():
        _check_against_schema(name, value)
    if "tags" in members:
        members["tags"] = list(dict.fromkeys(members["tags"]))
    if "owner" in members and not call.ctx.is_admin:
        raise Forbidden("Owner can't be updated by non admin.")
    demand_visibility(call, members.get("visibility"), policy_target(call.tx, call.ctx, call.row))
    for name in ("container_format", "disk_format"):
        if name in members and members[name] != call.row._mapping[name] and call.row.status != "queued":
            raise Forbidden(f"Attribute {name} can be only replaced for a queued image.")
    images.check_formats(
        members.get("container_format", call.row.container_format), members.get("disk_format", call.row.disk_format)
    )
    return members


@lru_cache(maxsize=32)
def _validator(name: str) -> Any:
    return jsonschema_rs.validator_for(Image.fields[name].request_schema())


def _check_against_schema(name: str, value: Any) -> None:
    for error in _validator(name).iter_errors(value):
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {str(value)[:120]}. {error.message[:240]}")


def delete_image(call: Call) -> None:
    locations = images.remove(call.tx, call.cloud, call.row)
    if locations:
        start_delete_data(call.tx, call.cloud, call.row.id, locations, call.request_id, call.ctx)


def deactivate(call: Call) -> None:
    images.set_active(call.tx, call.cloud, call.row.id, active=False)


def reactivate(call: Call) -> None:
    images.set_active(call.tx, call.cloud, call.row.id, active=True)


def add_tag(call: Call) -> None:
    tag = call.params["tag"]
    if len(tag) > 255:
        raise BadRequest("A tag has at most 255 characters.")
    if tag not in call.row.tags:
        tags = [*call.row.tags, tag]
        images.check_limits(call.cloud, {}, tags)
        images.change(call.tx, call.row.id, tags=tags)


def remove_tag(call: Call) -> None:
    tag = call.params["tag"]
    if tag not in call.row.tags:
        raise NotFound(f"Image {call.row.id} has no tag {tag}.")
    images.change(call.tx, call.row.id, tags=[one for one in call.row.tags if one != tag])


def _text_or_null(maximum: int, on: str, **options: Any) -> Field:
    return Field({"type": "string", "maxLength": maximum}, on, nullable=True, **options)


def _amount(doc: str) -> Field:
    return Field({"type": "integer", "minimum": 0, "maximum": 2147483647}, "cu", default=0, doc=doc)


class Image(Resource, path="/images", many="images"):
    """A disk image. Members that are not known here are kept as properties."""

    row = ImageRow
    what = "image"
    scope = scope
    unknown = "keep"
    default_sort = (("created_at", "desc"),)
    id = Field(
        {"type": "string", "pattern": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"}, "cs", doc="Identifier"
    )
    name = _text_or_null(255, "cus", doc="Name for people")
    visibility = Field({"enum": list(VISIBILITIES)}, "cu", doc="Who can see it")
    protected = Field({"type": "boolean"}, "cu", default=False, doc="It cannot be deleted")
    os_hidden = Field({"type": "boolean"}, "cu", default=False, doc="Not in lists unless asked for")
    owner = _text_or_null(255, "cu", doc="Project that owns it")
    container_format = Field(
        {"enum": list(images.CONTAINER_FORMATS)}, "cus", nullable=True, doc="What is around the disk"
    )
    disk_format = Field({"enum": list(images.DISK_FORMATS)}, "cus", nullable=True, doc="Format of the disk")
    tags = Field({"type": "array", "items": {"type": "string", "maxLength": 255}}, "cu", default=list, doc="Words")
    min_ram = _amount("MiB of memory that a server needs")
    min_disk = _amount("GiB of disk that a server needs")
    status = Field({"type": "string"}, "s")
    size = Field({"type": "integer"}, "s")
    created_at = Time("s")
    updated_at = Time("s")

    make = Create("add_image", CREATES, create_image, target=create_target)
    index = List("get_images", READER, list_images)
    show = Show("get_image", SEES, show_image, target=target)
    change = Op("PATCH", "/{id}", "modify_image", OWNS, update_image, target=target, doc="Change an image")
    remove = Delete("delete_image", OWNS, delete_image, target=target)
    deactivate = Op(
        "POST", "/{id}/actions/deactivate", "deactivate", OWNS, deactivate, status=204, target=target,
        doc="Refuse downloads of an image",
    )  # fmt: skip
    reactivate = Op(
        "POST", "/{id}/actions/reactivate", "reactivate", OWNS, reactivate, status=204, target=target,
        doc="Allow downloads again",
    )  # fmt: skip
    add_tag = Op("PUT", "/{id}/tags/{tag}", "modify_image", OWNS, add_tag, status=204, target=target)
    remove_tag = Op("DELETE", "/{id}/tags/{tag}", "modify_image", OWNS, remove_tag, status=204, target=target)


RULES = (
    Rule("publicize_image", ADMIN.check, "Make an image public"),
    Rule("communitize_image", OWNS.check, "Offer an image to the community"),
)
