# SPDX-License-Identifier: Apache-2.0
"""Projects; a domain is a project with `is_domain`, as upstream keeps it."""

from typing import Any

from sqlalchemy import Index, func

from altostratus.kernel.db import Mapped, Model, mapped_column


class Project(Model):
    """A project or domain. Domains have no `domain_id` and no parent; top projects have their domain as parent."""

    __tablename__ = "projects"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str | None] = mapped_column(default=None)
    parent_id: Mapped[str | None] = mapped_column(default=None, index=True)
    name: Mapped[str]
    enabled: Mapped[bool]
    is_domain: Mapped[bool]
    description: Mapped[str]
    tokens_from: Mapped[str] = mapped_column(default="")
    options: Mapped[dict[str, Any]]
    extra: Mapped[dict[str, Any]]


Index("uq_projects_name", func.coalesce(Project.domain_id, ""), Project.name, unique=True)
# pages of a domain's projects, and a name that somebody gives without the domain
Index("ix_projects_domain", Project.domain_id, Project.id)
Index("ix_projects_name", Project.name)


class ProjectTag(Model):
    __tablename__ = "project_tags"
    project_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
