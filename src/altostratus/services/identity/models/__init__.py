# SPDX-License-Identifier: Apache-2.0
"""Tables of the identity service."""

from altostratus.services.identity.models.catalog import CatalogService, Endpoint, PolicyDocument, Region
from altostratus.services.identity.models.credentials import (
    AccessRule,
    ApplicationCredential,
    Credential,
    CredentialRule,
)
from altostratus.services.identity.models.directory import IdMapping
from altostratus.services.identity.models.domain_config import DomainOption
from altostratus.services.identity.models.endpoint_groups import (
    EndpointGroup,
    PolicyAssociation,
    ProjectEndpoint,
    ProjectEndpointGroup,
)
from altostratus.services.identity.models.federation import (
    ExpiringMember,
    FederatedUser,
    FederationProtocol,
    IdentityProvider,
    Mapping,
    RemoteId,
    ServiceProvider,
    UsedAssertion,
)
from altostratus.services.identity.models.limits import Limit, RegisteredLimit
from altostratus.services.identity.models.oauth1 import AccessToken, Consumer, RequestToken, UsedNonce
from altostratus.services.identity.models.people import FormerPassword, Group, GroupMember, User
from altostratus.services.identity.models.projects import Project, ProjectTag
from altostratus.services.identity.models.roles import ImpliedRole, Role, RoleAssignment
from altostratus.services.identity.models.tokens import Revision, Revocation
from altostratus.services.identity.models.trusts import Trust

__all__ = [
    "AccessRule",
    "AccessToken",
    "ApplicationCredential",
    "CatalogService",
    "Consumer",
    "Credential",
    "CredentialRule",
    "DomainOption",
    "Endpoint",
    "EndpointGroup",
    "ExpiringMember",
    "FederatedUser",
    "FederationProtocol",
    "FormerPassword",
    "Group",
    "GroupMember",
    "IdMapping",
    "IdentityProvider",
    "ImpliedRole",
    "Limit",
    "Mapping",
    "PolicyAssociation",
    "PolicyDocument",
    "Project",
    "ProjectEndpoint",
    "ProjectEndpointGroup",
    "ProjectTag",
    "Region",
    "RegisteredLimit",
    "RemoteId",
    "RequestToken",
    "Revision",
    "Revocation",
    "Role",
    "RoleAssignment",
    "ServiceProvider",
    "Trust",
    "UsedAssertion",
    "UsedNonce",
    "User",
]
