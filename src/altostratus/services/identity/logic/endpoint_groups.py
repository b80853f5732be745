# SPDX-License-Identifier: Apache-2.0
"""Endpoints that a project is confined to: named ones, and those of endpoint groups."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.models import (
    Endpoint,
    EndpointGroup,
    PolicyAssociation,
    ProjectEndpoint,
    ProjectEndpointGroup,
)


def in_group(filters: dict[str, Any]) -> ColumnElement[bool]:
    """Condition on endpoints: they have the values of a group's filters."""
    endpoint = table_of(Endpoint).c
    return and_(*(endpoint[name] == value for name, value in sorted(filters.items())))


def groups_of(tx: Tx, project_id: str) -> list[Any]:
    """Rows of the endpoint groups that the project is associated with."""
    group, member = table_of(EndpointGroup), table_of(ProjectEndpointGroup).c
    joined = group.join(table_of(ProjectEndpointGroup), member.endpoint_group_id == group.c.id)
    return tx.rows(select(group).select_from(joined).where(member.project_id == project_id).order_by(group.c.id))


def endpoints_of(tx: Tx, project_id: str) -> list[Any]:
    """Rows of the endpoints that the project is associated with, by themselves or by a group."""
    endpoint, own = table_of(Endpoint), table_of(ProjectEndpoint).c
    named = endpoint.c.id.in_(select(own.endpoint_id).where(own.project_id == project_id))
    groups = [in_group(group.filters) for group in groups_of(tx, project_id)]
    return tx.rows(select(endpoint).where(or_(named, *groups)).order_by(endpoint.c.id))


def forget_endpoints(tx: Tx, endpoint_ids: Iterable[str]) -> None:
    """What names endpoints that are going."""
    gone = list(endpoint_ids)
    tx.delete_where(ProjectEndpoint, table_of(ProjectEndpoint).c.endpoint_id.in_(gone))
    tx.delete_where(PolicyAssociation, table_of(PolicyAssociation).c.endpoint_id.in_(gone))


def forget_projects(tx: Tx, project_ids: Iterable[str]) -> None:
    """What names projects that are going."""
    gone = list(project_ids)
    tx.delete_where(ProjectEndpoint, table_of(ProjectEndpoint).c.project_id.in_(gone))
    tx.delete_where(ProjectEndpointGroup, table_of(ProjectEndpointGroup).c.project_id.in_(gone))
