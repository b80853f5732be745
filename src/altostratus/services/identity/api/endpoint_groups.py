# SPDX-License-Identifier: Apache-2.0
"""Endpoint groups, and the endpoints that single projects are confined to (`OS-EP-FILTER`)."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import Model, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Object
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.catalog import Endpoint, list_all
from altostratus.services.identity.api.declaring import Description, IdentityResource, Links, Name, simple_list
from altostratus.services.identity.api.projects import ProjectFields
from altostratus.services.identity.api.targets import needed, row_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import endpoint_groups
from altostratus.services.identity.logic.catalog import INTERFACES
from altostratus.services.identity.logic.changes import announce

_READER, _ADMIN = policies.ADMIN_OR_SYSTEM_READER, policies.ADMIN
_GROUP = row_target("endpoint_group", models.EndpointGroup)
_FILTERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "service_id": {"type": "string", "maxLength": 255},
        "region_id": {"type": ["string", "null"], "maxLength": 255},
        "interface": {"enum": list(INTERFACES)},
    },
    "additionalProperties": False,
    "minProperties": 1,
}


def _demand(call: Call, model: type[Model], what: str, param: str) -> None:
    """Raises NotFound unless the path names a row."""
    if call.tx.find(model, call.params[param]) is None:
        raise not_found(what, call.params[param])


# endpoint groups


def create_group(call: Call) -> Any:
    if call.body["name"] is None or call.body["filters"] is None:
        raise BadRequest("An endpoint group needs a name and filters; null is neither.")
    group_id = ids.new_hex_id()
    call.tx.insert(models.EndpointGroup, id=group_id, **{"description": None, **call.body})
    announce(call.tx, call.cloud, "identity.endpoint_group.created", group_id)
    return call.tx.get(models.EndpointGroup, group_id)


def update_group(call: Call) -> Any:
    """Members that are null stay as they are: the official client sends null for what it was not told."""
    row = needed(call)
    changes = {name: value for name, value in call.body.items() if value is not None}
    if not changes:
        raise BadRequest("Give at least one of name, description and filters.")
    call.tx.update(models.EndpointGroup, row.id, **changes)
    announce(call.tx, call.cloud, "identity.endpoint_group.updated", row.id)
    return call.tx.get(models.EndpointGroup, row.id)


def delete_group(call: Call) -> None:
    """Projects are associated with it no longer."""
    row = needed(call)
    member = table_of(models.ProjectEndpointGroup).c
    call.tx.delete_where(models.ProjectEndpointGroup, member.endpoint_group_id == row.id)
    call.tx.delete(models.EndpointGroup, row.id)
    announce(call.tx, call.cloud, "identity.endpoint_group.deleted", row.id)


def list_endpoints_of_group(call: Call) -> Reply:
    endpoint = table_of(models.Endpoint)
    rows = call.tx.rows(select(endpoint).where(endpoint_groups.in_group(needed(call).filters)).order_by(endpoint.c.id))
    return simple_list(call, "endpoints", call.render_as(Endpoint, rows))


def list_projects_of_group(call: Call) -> Reply:
    member = table_of(models.ProjectEndpointGroup).c
    return _projects(call, select(member.project_id).where(member.endpoint_group_id == needed(call).id))


def _projects(call: Call, project_ids: Any) -> Reply:
    project = table_of(models.Project)
    rows = call.tx.rows(select(project).where(project.c.id.in_(project_ids)).order_by(project.c.name, project.c.id))
    return simple_list(call, "projects", call.render_as(ProjectFields, rows))


class EndpointGroup(IdentityResource, path="/OS-EP-FILTER/endpoint_groups", one="endpoint_group",
                    many="endpoint_groups"):  # fmt: skip
    """Endpoints that have something in common: service, region or interface."""

    unknown = "refuse"
    row = models.EndpointGroup
    id = Id("rs")
    name = Name(required=True, nullable=True)
    description = Description()
    filters = Object("cru", _FILTERS, required=True, nullable=True)
    links = Links("/OS-EP-FILTER/endpoint_groups")
    index = List("identity:list_endpoint_groups", _READER, list_all)
    create = Create("identity:create_endpoint_group", _ADMIN, create_group)
    show = Show("identity:get_endpoint_group", _READER, needed, own_row=False, target=_GROUP)
    update = Update("identity:update_endpoint_group", _ADMIN, update_group, method="PATCH", own_row=False,
                    target=_GROUP)  # fmt: skip
    delete = Delete("identity:delete_endpoint_group", _ADMIN, delete_group, own_row=False, target=_GROUP)
    endpoints = Op("GET", "/{id}/endpoints", "identity:list_endpoints_associated_with_endpoint_group", _READER,
                   list_endpoints_of_group, own_row=False, target=_GROUP)  # fmt: skip
    projects = Op("GET", "/{id}/projects", "identity:list_projects_associated_with_endpoint_group", _READER,
                  list_projects_of_group, own_row=False, target=_GROUP)  # fmt: skip


# endpoint groups of projects


def _membership(call: Call) -> tuple[str, str]:
    """Ids of an endpoint group and a project that exist."""
    _demand(call, models.Project, "project", "project_id")
    _demand(call, models.EndpointGroup, "endpoint group", "endpoint_group_id")
    return call.params["endpoint_group_id"], call.params["project_id"]


def show_membership(call: Call) -> Reply:
    group_id, project_id = _membership(call)
    if call.tx.find(models.ProjectEndpointGroup, group_id, project_id) is None:
        raise _no_membership()
    links = {"self": call.service_url(f"/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}")}
    shown = {"endpoint_group_id": group_id, "project_id": project_id, "links": links}
    return Reply(200, {"project_endpoint_group": shown})


def add_membership(call: Call) -> None:
    group_id, project_id = _membership(call)
    if call.tx.find(models.ProjectEndpointGroup, group_id, project_id) is not None:
        raise Conflict(f"Endpoint group {group_id} is associated with project {project_id} already.")
    call.tx.insert(models.ProjectEndpointGroup, endpoint_group_id=group_id, project_id=project_id)
    announce(call.tx, call.cloud, "identity.project.updated", project_id)


def remove_membership(call: Call) -> None:
    group_id, project_id = _membership(call)
    if call.tx.delete(models.ProjectEndpointGroup, group_id, project_id) == 0:
        raise _no_membership()
    announce(call.tx, call.cloud, "identity.project.updated", project_id)


def _no_membership() -> NotFound:
    return NotFound("Endpoint Group Project Association not found. Associate them first, by PUT to this path.")


class ProjectOfEndpointGroup(
    IdentityResource, path="/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}"
):
    """The catalog of the project shows the endpoints of the group."""

    show = Op("GET", "", "identity:get_endpoint_group_in_project", _READER, show_membership)
    add = Op("PUT", "", "identity:add_endpoint_group_to_project", _ADMIN, add_membership, status=204)
    remove = Op("DELETE", "", "identity:remove_endpoint_group_from_project", _ADMIN, remove_membership, status=204)


# endpoints of projects


def list_groups_of_project(call: Call) -> Reply:
    _demand(call, models.Project, "project", "project_id")
    rows = endpoint_groups.groups_of(call.tx, call.params["project_id"])
    return simple_list(call, "endpoint_groups", call.render_as(EndpointGroup, rows))


def list_endpoints_of_project(call: Call) -> Reply:
    _demand(call, models.Project, "project", "project_id")
    rows = endpoint_groups.endpoints_of(call.tx, call.params["project_id"])
    return simple_list(call, "endpoints", call.render_as(Endpoint, rows))


def list_projects_of_endpoint(call: Call) -> Reply:
    _demand(call, models.Endpoint, "endpoint", "endpoint_id")
    own = table_of(models.ProjectEndpoint).c
    return _projects(call, select(own.project_id).where(own.endpoint_id == call.params["endpoint_id"]))


def _pair(call: Call) -> tuple[str, str]:
    """Ids of a project and an endpoint that exist."""
    _demand(call, models.Endpoint, "endpoint", "endpoint_id")
    _demand(call, models.Project, "project", "project_id")
    return call.params["project_id"], call.params["endpoint_id"]


def check_endpoint(call: Call) -> None:
    project_id, endpoint_id = _pair(call)
    if call.tx.find(models.ProjectEndpoint, project_id, endpoint_id) is None:
        raise _not_associated(project_id, endpoint_id)


def add_endpoint(call: Call) -> None:
    project_id, endpoint_id = _pair(call)
    if call.tx.find(models.ProjectEndpoint, project_id, endpoint_id) is not None:
        raise Conflict(f"Endpoint {endpoint_id} is associated with project {project_id} already.")
    call.tx.insert(models.ProjectEndpoint, project_id=project_id, endpoint_id=endpoint_id)
    announce(call.tx, call.cloud, "identity.project.updated", project_id)


def remove_endpoint(call: Call) -> None:
    project_id, endpoint_id = call.params["project_id"], call.params["endpoint_id"]
    if call.tx.delete(models.ProjectEndpoint, project_id, endpoint_id) == 0:
        raise _not_associated(project_id, endpoint_id)
    announce(call.tx, call.cloud, "identity.project.updated", project_id)


def _not_associated(project_id: str, endpoint_id: str) -> NotFound:
    return NotFound(f"Endpoint {endpoint_id} not found in project {project_id}.")


class EndpointOfProject(IdentityResource, path="/OS-EP-FILTER/projects/{project_id}"):
    """The catalog of the project shows the endpoint."""

    groups = Op("GET", "/endpoint_groups", "identity:list_endpoint_groups_for_project", _READER,
                list_groups_of_project)  # fmt: skip
    index = Op("GET", "/endpoints", "identity:list_endpoints_for_project", _READER, list_endpoints_of_project)
    check = Op("GET", "/endpoints/{endpoint_id}", "identity:check_endpoint_in_project", _READER, check_endpoint,
               status=204)  # fmt: skip
    add = Op("PUT", "/endpoints/{endpoint_id}", "identity:add_endpoint_to_project", _ADMIN, add_endpoint, status=204)
    remove = Op("DELETE", "/endpoints/{endpoint_id}", "identity:remove_endpoint_from_project", _ADMIN, remove_endpoint,
                status=204)  # fmt: skip


class ProjectOfEndpoint(IdentityResource, path="/OS-EP-FILTER/endpoints/{endpoint_id}/projects"):
    """Projects whose catalogs are confined to endpoints, this one among them."""

    index = Op("GET", "", "identity:list_projects_for_endpoint", _READER, list_projects_of_endpoint)
