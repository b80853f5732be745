# SPDX-License-Identifier: Apache-2.0
"""Domains: the roots of the project trees, and the home of users and groups."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, ListOf, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
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
    list_reply,
    merged_options,
)
from altostratus.services.identity.api.projects import MOST_TAGS, TAG, with_tags
from altostratus.services.identity.api.targets import flat, list_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import projects


def _errand(call: Call) -> dict[str, Any]:
    row = call.tx.find(models.Project, call.params["id"])
    call.row = row if row is not None and row.is_domain else None
    return flat("domain", call.row)


def _needed(call: Call) -> Any:
    if call.row is None:
        raise not_found("domain", call.params["id"])
    return call.row


class DomainFields(IdentityResource, one="domain", many="domains"):
    """What a domain looks like, wherever domains are listed."""

    row = models.Project
    load = with_tags
    id = Id("rs")
    name = Name(longest=64, required=True)
    description = Description(default="")
    enabled = Flag("cruf", default=True)
    explicit_domain_id = Text(1, 64, "c")
    tags = ListOf(TAG, "cru", maximum=MOST_TAGS, unique=True)
    options = Options(immutable=ON_OR_UNSET)
    links = Links("/domains")


def _existing(call: Call) -> dict[str, Any]:
    """For changes, whose refusal tells nothing more: everybody gets the 404 of a missing domain."""
    target = _errand(call)
    _needed(call)
    return target


def list_domains(call: Call) -> Reply:
    project = table_of(models.Project)
    return list_reply(call, select(project).where(project.c.is_domain), confined_by="id")


def create_domain(call: Call) -> Any:
    values = {name: call.body[name] for name in ("name", "description", "enabled", "options")}
    values |= {"extra": extra_members(call), "description": values["description"] or ""}
    values["options"] = merged_options({}, values["options"])
    wanted_id = call.body.get("explicit_domain_id")
    if wanted_id is not None and not (ids.is_uuid(wanted_id) and "-" not in wanted_id):
        raise BadRequest("Domain ID does not conform to required UUID format. Give 32 hexadecimal digits.")
    return projects.create_domain(call.tx, call.cloud, values, domain_id=wanted_id, tags=call.body.get("tags", []))


def update_domain(call: Call) -> Any:
    row = _needed(call)
    values = {name: value for name, value in call.body.items() if name != "tags"}
    if "description" in values:
        values["description"] = values["description"] or ""
    if "options" in values:
        values["options"] = merged_options(row.options, values["options"])
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    updated = projects.update_project(call.tx, call.cloud, row, values)
    if "tags" in call.body:
        projects.set_tags(call.tx, row.id, call.body["tags"])
    return updated


def delete_domain(call: Call) -> None:
    projects.delete_domain(call.tx, call.cloud, _needed(call))


class Domain(DomainFields, path="/domains"):
    """A domain."""

    index = List("identity:list_domains", policies.DOMAINS_READER, list_domains,
                 target=list_target("target.domain.id"))  # fmt: skip
    create = Create("identity:create_domain", policies.ADMIN, create_domain)
    show = Show("identity:get_domain", policies.DOMAIN_READER, _needed, own_row=False, target=_errand)
    update = Update("identity:update_domain", policies.ADMIN, update_domain, method="PATCH", own_row=False,
                    target=_existing)  # fmt: skip
    delete = Delete("identity:delete_domain", policies.ADMIN, delete_domain, own_row=False, target=_existing)
