# SPDX-License-Identifier: Apache-2.0
"""Which endpoints a project's catalog shows, and which policy document belongs to which endpoint."""

from typing import Any

from sqlalchemy import Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class EndpointGroup(Model):
    """All endpoints with the values of `filters`: service_id, region_id, interface."""

    __tablename__ = "endpoint_groups"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(Text, default=None)
    filters: Mapped[dict[str, Any]]


class ProjectEndpointGroup(Model):
    """The project's catalog shows the endpoints of the group."""

    __tablename__ = "project_endpoint_groups"
    endpoint_group_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class ProjectEndpoint(Model):
    """The project's catalog shows the endpoint."""

    __tablename__ = "project_endpoints"
    project_id: Mapped[str] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class PolicyAssociation(Model):
    """A policy document for one endpoint, a service, or a service in a region; what is not named is empty."""

    __tablename__ = "policy_associations"
    endpoint_id: Mapped[str] = mapped_column(primary_key=True)
    service_id: Mapped[str] = mapped_column(primary_key=True)
    region_id: Mapped[str] = mapped_column(primary_key=True)
    policy_id: Mapped[str] = mapped_column(index=True)
