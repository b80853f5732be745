# SPDX-License-Identifier: Apache-2.0
"""Tables of the identity service."""

from altostratus.services.identity.models.catalog import CatalogService, Endpoint, PolicyDocument, Region
from altostratus.services.identity.models.credentials import ApplicationCredential, Credential
from altostratus.services.identity.models.domain_config import DomainOption
from altostratus.services.identity.models.endpoint_groups import (
    EndpointGroup,
    PolicyAssociation,
    ProjectEndpoint,
    ProjectEndpointGroup,
)
from altostratus.services.identity.models.limits import Limit, RegisteredLimit
from altostratus.services.identity.models.people import FormerPassword, Group, GroupMember, User
from altostratus.services.identity.models.projects import Project, ProjectTag
from altostratus.services.identity.models.roles import ImpliedRole, Role, RoleAssignment
from altostratus.services.identity.models.tokens import Revision, Revocation

__all__ = [
    "ApplicationCredential",
    "CatalogService",
    "Credential",
    "DomainOption",
    "Endpoint",
    "EndpointGroup",
    "FormerPassword",
    "Group",
    "GroupMember",
    "ImpliedRole",
    "Limit",
    "PolicyAssociation",
    "PolicyDocument",
    "Project",
    "ProjectEndpoint",
    "ProjectEndpointGroup",
    "ProjectTag",
    "Region",
    "RegisteredLimit",
    "Revision",
    "Revocation",
    "Role",
    "RoleAssignment",
    "User",
]
