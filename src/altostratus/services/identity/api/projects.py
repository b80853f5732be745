# SPDX-License-Identifier: Apache-2.0
"""Projects: one file for the view, whoever lists them, and for their tags."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, ListOf, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    ON_OR_UNSET,
    Description,
    Flag,
    IdentityResource,
    Links,
    Name,
    Options,
    extra_members,
    is_asked,
    list_reply,
    merged_options,
)
from altostratus.services.identity.api.targets import domain_of_body, flat, list_target, needed, row_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import assignments, projects
from altostratus.services.identity.logic.changes import announce

_ERRAND = row_target("project", models.Project)
_MANAGER = policies.manager_of("target.project.domain_id")
TAG: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}
MOST_TAGS = 80


def with_tags(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    tags = projects.tags_of(call.tx, [row.id for row in rows])
    return [{**row._mapping, "tags": tags[row.id]} for row in rows]


class ProjectFields(IdentityResource, one="project", many="projects"):
    """What a project looks like, wherever projects are listed."""

    row = models.Project
    load = with_tags
    id = Id("rs")
    name = Name(longest=64, required=True)
    domain_id = Text(1, 64, "cruf", nullable=True)
    description = Description(default="")
    enabled = Flag("cruf", default=True)
    parent_id = Text(1, 64, "cruf", nullable=True)
    is_domain = Flag("cruf", default=False)
    tags = ListOf(TAG, "cru", maximum=MOST_TAGS, unique=True)
    options = Options(immutable=ON_OR_UNSET)
    links = Links("/projects")


def list_projects(call: Call) -> Reply:
    project = table_of(models.Project)
    statement = select(project).where(*tag_conditions(call))
    if "is_domain" not in call.query:
        statement = statement.where(project.c.is_domain.is_(False))
    return list_reply(call, statement)


def tag_conditions(call: Call) -> list[Any]:
    """`tags`, `tags-any`, `not-tags`, `not-tags-any`: comma-separated."""
    project, tag = table_of(models.Project).c, table_of(models.ProjectTag).c

    def asked(name: str) -> list[str]:
        return [word for text in call.query.get(name, []) for word in text.split(",")]

    def with_all(words: list[str]) -> Any:
        tagged = select(tag.project_id).where(tag.name.in_(words)).group_by(tag.project_id)
        return project.id.in_(tagged.having(func.count() == len(set(words))))

    def with_any(words: list[str]) -> Any:
        return project.id.in_(select(tag.project_id).where(tag.name.in_(words)))

    conditions = []
    for name, condition, wanted in (
        ("tags", with_all, True),
        ("tags-any", with_any, True),
        ("not-tags", with_all, False),
        ("not-tags-any", with_any, False),
    ):
        if words := asked(name):
            conditions.append(condition(words) if wanted else ~condition(words))
    return conditions


def create_target(call: Call) -> dict[str, Any]:
    return flat("project", {"domain_id": call.body.get("domain_id") or _domain_of_parent(call)})


def _domain_of_parent(call: Call) -> str | None:
    parent = call.tx.find(models.Project, call.body["parent_id"]) if call.body.get("parent_id") else None
    return None if parent is None else str(parent.domain_id or parent.id)


def create_project(call: Call) -> Any:
    values = {name: value for name, value in call.body.items() if name != "tags"}
    values |= {"extra": extra_members(call), "description": values["description"] or ""}
    values["options"] = merged_options({}, values["options"])
    tags = call.body.get("tags", [])
    if values.pop("is_domain"):
        if values.get("parent_id") or values.get("domain_id"):
            raise BadRequest("Only root projects are allowed to act as domains: leave parent_id and domain_id out.")
        return projects.create_domain(call.tx, call.cloud, values, tags=tags)
    values["domain_id"] = values.get("domain_id") or _domain_of_parent(call) or domain_of_body(call)
    return projects.create_project(call.tx, call.cloud, values, tags)


def show_project(call: Call) -> Reply:
    row = needed(call)
    shown = call.render([row])[0]
    for first, second in (("parents_as_list", "parents_as_ids"), ("subtree_as_list", "subtree_as_ids")):
        if is_asked(call, first) and is_asked(call, second):
            raise BadRequest(f"Cannot use {first} and {second} query params at the same time.")
    if is_asked(call, "parents_as_list"):
        shown["parents"] = _own_only(call, projects.parents_of(call.tx, row.id))
    elif is_asked(call, "parents_as_ids"):
        nested: dict[str, Any] | None = None
        for parent in reversed(projects.parents_of(call.tx, row.id)):
            nested = {parent.id: nested}
        shown["parents"] = nested
    if is_asked(call, "subtree_as_list"):
        shown["subtree"] = _own_only(call, projects.subtree_of(call.tx, row.id))
    elif is_asked(call, "subtree_as_ids"):
        shown["subtree"] = projects.nest(row.id, projects.subtree_of(call.tx, row.id))
    return Reply(200, {"project": shown})


def _own_only(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """Those where the caller has a role, each in its envelope, as upstream does."""
    mine = {project.id for project in assignments.projects_of_user(call.tx, call.ctx.user_id)}
    return [{"project": shown} for shown in call.render([row for row in rows if row.id in mine])]


def update_project(call: Call) -> Any:
    row = needed(call)
    values = {name: value for name, value in call.body.items() if name != "tags"}
    if "description" in values:
        values["description"] = values["description"] or ""
    if "name" in values:
        values["name"] = values["name"].strip()
    if "options" in values:
        values["options"] = merged_options(row.options, values["options"])
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    updated = projects.update_project(call.tx, call.cloud, row, values)
    if "tags" in call.body:
        projects.set_tags(call.tx, row.id, call.body["tags"])
    return updated


def delete_project(call: Call) -> None:
    projects.delete_project(call.tx, call.cloud, needed(call))


class Project(ProjectFields, path="/projects"):
    """A project: what resources belong to."""

    index = List("identity:list_projects", policies.LIST_READER, list_projects, target=list_target())
    create = Create("identity:create_project", _MANAGER, create_project, target=create_target)
    show = Show("identity:get_project", policies.PROJECT_READER, show_project, own_row=False, target=_ERRAND)
    update = Update("identity:update_project", _MANAGER, update_project, method="PATCH", own_row=False,
                    target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_project", _MANAGER, delete_project, own_row=False, target=_ERRAND)


def list_user_projects(call: Call) -> Reply:
    if call.row is None:
        raise not_found("user", call.params["user_id"])
    return own_projects(call, call.row.id)


def own_projects(call: Call, user_id: str, group_ids: Sequence[str] = ()) -> Reply:
    """Enabled or not, the projects where a user (or a member of these groups) has a role, in one list."""
    project = table_of(models.Project)
    mine = assignments.project_ids_of_user(user_id, group_ids)
    statement = select(project).where(project.c.id.in_(mine), project.c.is_domain.is_(False))
    return list_reply(call, statement, confined_by=None)


class UserProject(ProjectFields, path="/users/{user_id}/projects"):
    """A project where a user has a role."""

    index = List("identity:list_user_projects", policies.USER_PROJECTS, list_user_projects,
                 target=row_target("user", models.User, "user_id"))  # fmt: skip


# tags


def _reply_with(call: Call, tags: list[str]) -> Reply:
    return Reply(200, {"tags": tags, "links": {"self": call.url()}})


def _tags(call: Call) -> list[str]:
    return projects.tags_of(call.tx, [needed(call).id])[call.row.id]


def list_tags(call: Call) -> Reply:
    return _reply_with(call, _tags(call))


def replace_tags(call: Call) -> Reply:
    return _store(call, call.body["tags"])


def remove_tags(call: Call) -> Reply:
    _store(call, [])
    return Reply(204)


def check_tag(call: Call) -> None:
    if call.params["tag"] not in _tags(call):
        raise not_found("project tag", call.params["tag"])


def add_tag(call: Call) -> Reply:
    tags, tag = _tags(call), call.params["tag"]
    if not 1 <= len(tag) <= 255 or "," in tag:
        raise BadRequest("A tag has 1 to 255 characters and no comma.")
    if tag not in tags and len(tags) >= MOST_TAGS:
        raise BadRequest(f"A project has {MOST_TAGS} tags at most; remove one first.")
    _store(call, {*tags, tag})
    return Reply(201, headers={"Location": call.url_without_query()})


def remove_tag(call: Call) -> None:
    check_tag(call)
    _store(call, set(_tags(call)) - {call.params["tag"]})


def _store(call: Call, tags: Any) -> Reply:
    project_id = needed(call).id
    projects.set_tags(call.tx, project_id, tags)
    announce(call.tx, call.cloud, "identity.project.updated", project_id)
    return _reply_with(call, sorted(set(tags)))


class ProjectTag(IdentityResource, path="/projects/{id}/tags"):
    """A word that marks a project."""

    what = "project"
    index = Op("GET", "", "identity:list_project_tags", policies.PROJECT_READER, list_tags, target=_ERRAND)
    replace = Op("PUT", "", "identity:update_project_tags", _MANAGER, replace_tags, target=_ERRAND,
                 body={"type": "object", "required": ["tags"], "properties": {
                     "tags": {"type": "array", "items": TAG, "maxItems": MOST_TAGS, "uniqueItems": True}}})  # fmt: skip
    clear = Op("DELETE", "", "identity:delete_project_tags", _MANAGER, remove_tags, status=204, target=_ERRAND)
    check = Op("GET", "/{tag}", "identity:get_project_tag", policies.PROJECT_READER, check_tag, status=204,
               target=_ERRAND)  # fmt: skip
    add = Op("PUT", "/{tag}", "identity:create_project_tag", _MANAGER, add_tag, status=201, target=_ERRAND)
    remove = Op("DELETE", "/{tag}", "identity:delete_project_tag", _MANAGER, remove_tag, status=204, target=_ERRAND)
