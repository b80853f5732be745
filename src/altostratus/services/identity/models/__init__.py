# SPDX-License-Identifier: Apache-2.0
"""Tables of the identity service."""

from altostratus.services.identity.models.catalog import CatalogService, Endpoint, PolicyDocument, Region
from altostratus.services.identity.models.credentials import ApplicationCredential, Credential
from altostratus.services.identity.models.domain_config import DomainOption
from altostratus.services.identity.models.limits import Limit, RegisteredLimit
from altostratus.services.identity.models.people import Group, GroupMember, User
from altostratus.services.identity.models.projects import Project, ProjectTag
from altostratus.services.identity.models.roles import ImpliedRole, Role, RoleAssignment
from altostratus.services.identity.models.tokens import Revision, Revocation

__all__ = [
    "ApplicationCredential",
    "CatalogService",
    "Credential",
    "Endpoint",
    "Group",
    "GroupMember",
    "ImpliedRole",
    "Limit",
    "PolicyDocument",
    "Project",
    "ProjectTag",
    "Region",
    "DomainOption",
    "RegisteredLimit",
    "Revision",
    "Revocation",
    "Role",
    "RoleAssignment",
    "User",
]
