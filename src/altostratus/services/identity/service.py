# SPDX-License-Identifier: Apache-2.0
"""The manifest of the identity service."""

from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.services.identity.api import (
    application_credentials,
    catalog,
    credentials,
    domain_config,
    domains,
    ec2_credentials,
    endpoint_groups,
    groups,
    limits,
    policy_associations,
    policy_documents,
    projects,
    revocations,
    role_assignments,
    roles,
    tokens,
    users,
)
from altostratus.services.identity.api.grants import GRANTS
from altostratus.services.identity.api.versions import Versions, VersionThree
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import envelope
from altostratus.services.identity.policies import RULES
from altostratus.services.identity.reconcilers.revocations import PRUNE_REVOCATIONS

SERVICE = Service(
    type="identity",
    name="keystone",
    title="Identity service",
    path="/identity/v3",
    root="/identity",
    classic_port=5000,
    policy_namespace="keystone",
    envelope=envelope,
    style=Style(links="keystone"),
    resources=(
        Versions,
        VersionThree,
        tokens.Token,
        revocations.RevokedToken,
        revocations.RevocationEvent,
        revocations.SimpleCertificate,
        tokens.AuthProject,
        tokens.AuthDomain,
        tokens.AuthScope,
        tokens.FederationProject,
        tokens.FederationDomain,
        users.User,
        groups.UserGroup,
        projects.UserProject,
        groups.Group,
        users.GroupUser,
        projects.Project,
        projects.ProjectTag,
        domains.Domain,
        domain_config.DomainConfig,
        domain_config.DomainConfigDefault,
        roles.Role,
        roles.ImpliedRole,
        roles.RoleInference,
        *GRANTS,
        role_assignments.RoleAssignment,
        catalog.Service,
        catalog.Endpoint,
        catalog.Region,
        endpoint_groups.EndpointGroup,
        endpoint_groups.ProjectOfEndpointGroup,
        endpoint_groups.EndpointOfProject,
        endpoint_groups.ProjectOfEndpoint,
        limits.RegisteredLimit,
        limits.Limit,
        credentials.Credential,
        ec2_credentials.Ec2Credential,
        policy_documents.Policy,
        *policy_associations.POLICY_ASSOCIATIONS,
        application_credentials.ApplicationCredential,
    ),
    rules=RULES,
    options=(IdentityOptions,),
    reconcilers=(PRUNE_REVOCATIONS,),
)
