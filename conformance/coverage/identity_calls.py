# SPDX-License-Identifier: Apache-2.0
"""Every call of the identity API's reference, and of our own declarations: people, roles, catalog, tokens.

A path says what it is about in the names of its parameters, so that steps can hand ids on; upstream's reference calls
many of them just `id`.
"""

from typing import Any

from conformance.coverage.identity_extensions import CREDENTIALS, ENDPOINT_FILTER, OAUTH, POLICIES, TRUSTS
from conformance.coverage.identity_federation import FEDERATION
from conformance.coverage.steps import Call

# what a caller chooses
NAMES = {
    "group": "ldap",
    "option": "url",
    "rule": "password_regex",
    "tag": "venus",
    "new_region": "Shanghai",
    "mapping_id": "everybody",
    "idp_id": "acme-login",
    "protocol_id": "openid",
    "sp_id": "other-cloud",
}


def password_login(name: str, project: str, *, domain: str = "default") -> dict[str, Any]:
    """The body of a request for a token of a project; the password is the memory's `password_of_NAME`."""
    who = {"name": name, "domain": {"id": domain}, "password": f"{{password_of_{name}}}"}
    scope = {"project": {"name": project, "domain": {"id": domain}}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}}


TOKENS = (
    Call("GET /", by="", status=300),
    Call("GET /v3", by=""),
    Call(
        "POST /v3/auth/tokens",
        password_login("admin", "admin"),
        "token_of_admin=header.x-subject-token admin=token.user.id admin_project=token.project.id",
        by="",
    ),
    Call(
        "POST /v3/auth/tokens",
        password_login("demo", "demo"),
        "token_of_demo=header.x-subject-token demo=token.user.id demo_project=token.project.id",
        by="",
    ),
    Call("POST /v3/auth/tokens", password_login("demo", "demo"), "spare=header.x-subject-token", by=""),
    Call("GET /v3/auth/tokens", headers={"X-Subject-Token": "{spare}"}),
    Call("HEAD /v3/auth/tokens", headers={"X-Subject-Token": "{spare}"}),
    Call("DELETE /v3/auth/tokens", headers={"X-Subject-Token": "{spare}"}),
    Call("GET /v3/auth/catalog", by="demo"),
    Call("GET /v3/auth/domains", by="demo"),
    Call("GET /v3/auth/projects", by="demo"),
    Call("GET /v3/auth/system", by="demo"),
    # what went away with signed (PKI) tokens, and revocation events
    Call("GET /v3/auth/tokens/OS-PKI/revoked", status=403),
    Call("GET /v3/OS-SIMPLE-CERT/ca", status=410),
    Call("GET /v3/OS-SIMPLE-CERT/certificates", status=410),
    Call("GET /v3/OS-REVOKE/events"),
)

DOMAINS = (
    Call("POST /v3/domains", {"domain": {"name": "acme", "description": "a customer"}}, "domain_id=domain.id"),
    Call("GET /v3/domains", query="enabled=true"),
    Call("GET /v3/domains/{domain_id}"),
    Call("PATCH /v3/domains/{domain_id}", {"domain": {"description": "a good customer"}}),
)

_LDAP = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://localhost", "user_tree_dn": "ou=people,dc=acme"}}
DOMAIN_CONFIG = (
    Call("GET /v3/domains/config/default"),
    Call("GET /v3/domains/config/{group}/default"),
    Call("GET /v3/domains/config/{group}/{option}/default"),
    Call("POST /v3/domains", {"domain": {"name": "directory"}}, "directory_id=domain.id"),
    Call("PUT /v3/domains/{directory_id}/config", {"config": _LDAP}),
    Call("GET /v3/domains/{directory_id}/config"),
    Call("PATCH /v3/domains/{directory_id}/config", {"config": {"ldap": {"url": "ldap://127.0.0.1"}}}),
    Call("GET /v3/domains/{directory_id}/config/{group}"),
    Call("PATCH /v3/domains/{directory_id}/config/{group}", {"config": {"ldap": {"url": "ldap://localhost"}}}),
    Call("GET /v3/domains/{directory_id}/config/{group}/{option}"),
    Call("PATCH /v3/domains/{directory_id}/config/{group}/{option}", {"config": {"url": "ldap://127.0.0.1"}}),
    Call("DELETE /v3/domains/{directory_id}/config/{group}/{option}"),
    Call("DELETE /v3/domains/{directory_id}/config/{group}"),
    Call("DELETE /v3/domains/{directory_id}/config"),
    Call("GET /v3/domains", query="name=Default", keep="default_id=domains.0.id"),
    Call("GET /v3/domains/{default_id}/config/security_compliance"),
    Call("GET /v3/domains/{default_id}/config/security_compliance/{rule}"),
    Call("PATCH /v3/domains/{default_id}/config/security_compliance", {"config": {}}, status=403),
    Call("PATCH /v3/domains/{default_id}/config/security_compliance/{rule}", {"config": {}}, status=403),
    Call("DELETE /v3/domains/{default_id}/config/security_compliance", status=403),
    Call("DELETE /v3/domains/{default_id}/config/security_compliance/{rule}", status=403),
    Call("PATCH /v3/domains/{directory_id}", {"domain": {"enabled": False}}),
    Call("DELETE /v3/domains/{directory_id}"),
)

_ROCKETS = {"name": "rockets", "domain_id": "{domain_id}"}
PROJECTS = (
    Call("POST /v3/projects", {"project": _ROCKETS}, "project_id=project.id"),
    Call("GET /v3/projects", query="domain_id={domain_id}"),
    Call("GET /v3/projects/{project_id}", query="subtree_as_list&parents_as_list"),
    Call("PATCH /v3/projects/{project_id}", {"project": {"description": "to the moon"}}),
    Call("PUT /v3/projects/{project_id}/tags", {"tags": ["moon", "mars"]}),
    Call("GET /v3/projects/{project_id}/tags"),
    Call("PUT /v3/projects/{project_id}/tags/{tag}"),
    Call("GET /v3/projects/{project_id}/tags/{tag}"),
    Call("DELETE /v3/projects/{project_id}/tags/{tag}"),
    Call("DELETE /v3/projects/{project_id}/tags"),
)

_WILE = {
    "name": "wile",
    "domain_id": "{domain_id}",
    "default_project_id": "{project_id}",
    "password": "secret-1",
    "email": "w@acme.org",
}
_NEW_PASSWORD = {"user": {"original_password": "secret-1", "password": "secret-2"}}
PEOPLE = (
    Call("POST /v3/users", {"user": _WILE}, "user_id=user.id"),
    Call("GET /v3/users", query="domain_id={domain_id}&name__contains=il"),
    Call("GET /v3/users/{user_id}"),
    Call("PATCH /v3/users/{user_id}", {"user": {"description": "chief engineer"}}),
    Call("POST /v3/users/{user_id}/password", _NEW_PASSWORD, by=""),
    Call("GET /v3/users/{user_id}/projects"),
    Call("POST /v3/groups", {"group": {"name": "builders", "domain_id": "{domain_id}"}}, "group_id=group.id"),
    Call("GET /v3/groups", query="domain_id={domain_id}"),
    Call("GET /v3/groups/{group_id}"),
    Call("PATCH /v3/groups/{group_id}", {"group": {"description": "who builds"}}),
    Call("PUT /v3/groups/{group_id}/users/{user_id}"),
    Call("HEAD /v3/groups/{group_id}/users/{user_id}"),
    Call("GET /v3/groups/{group_id}/users/{user_id}"),
    Call("GET /v3/groups/{group_id}/users"),
    Call("GET /v3/users/{user_id}/groups"),
)

ROLES = (
    Call("POST /v3/roles", {"role": {"name": "painter"}}, "role_id=role.id"),
    Call("POST /v3/roles", {"role": {"name": "wall-painter"}}, "implied_role_id=role.id"),
    Call("GET /v3/roles"),
    Call("GET /v3/roles", query="name=member", keep="member=roles.0.id"),
    Call("GET /v3/roles", query="name=admin", keep="admin_role=roles.0.id"),
    Call("GET /v3/roles/{role_id}"),
    Call("PATCH /v3/roles/{role_id}", {"role": {"description": "may paint"}}),
    Call("PUT /v3/roles/{role_id}/implies/{implied_role_id}"),
    Call("HEAD /v3/roles/{role_id}/implies/{implied_role_id}"),
    Call("GET /v3/roles/{role_id}/implies/{implied_role_id}"),
    Call("GET /v3/roles/{role_id}/implies"),
    Call("GET /v3/role_inferences"),
)


def _grants(place: str, *, tail: str = "") -> tuple[Call, ...]:
    """What can be done about a role of a user and of a group at one place; the place's grants end as they began."""
    calls: list[Call] = []
    for holder in ("users/{user_id}", "groups/{group_id}"):
        one = f"{place}/{holder}/roles/{{role_id}}{tail}"
        calls += [Call(f"PUT {one}"), Call(f"HEAD {one}"), Call(f"GET {one}")]
        calls += [Call(f"GET {place}/{holder}/roles{tail}"), Call(f"DELETE {one}")]
    return tuple(calls)


GRANTS = (
    *_grants("/v3/domains/{domain_id}"),
    *_grants("/v3/projects/{project_id}"),
    *_grants("/v3/system"),
    *_grants("/v3/OS-INHERIT/domains/{domain_id}", tail="/inherited_to_projects"),
    *_grants("/v3/OS-INHERIT/projects/{project_id}", tail="/inherited_to_projects"),
    Call("GET /v3/role_assignments", query="effective&include_names"),
)

_MY_SERVICE = {"name": "myService", "type": "myService", "description": "helloworld"}
_ENDPOINT = {
    "service_id": "{service_id}",
    "region_id": "{region_id}",
    "interface": "public",
    "url": "http://172.25.0.10:3838",
}
CATALOG = (
    Call("POST /v3/regions", {"region": {"id": "Dalian"}}, "region_id=region.id"),
    Call("GET /v3/regions"),
    Call("GET /v3/regions/{region_id}"),
    Call("PATCH /v3/regions/{region_id}", {"region": {"description": "by the sea"}}),
    Call("PUT /v3/regions/{new_region}", {"region": {"description": "by the yellow sea"}}),
    Call("DELETE /v3/regions/{new_region}"),
    Call("POST /v3/services", {"service": _MY_SERVICE}, "service_id=service.id"),
    Call("GET /v3/services", query="type=myService"),
    Call("GET /v3/services/{service_id}"),
    Call("PATCH /v3/services/{service_id}", {"service": {"description": "hello, world"}}),
    Call("POST /v3/endpoints", {"endpoint": _ENDPOINT}, "endpoint_id=endpoint.id"),
    Call("GET /v3/endpoints", query="service_id={service_id}"),
    Call("GET /v3/endpoints/{endpoint_id}"),
    Call("PATCH /v3/endpoints/{endpoint_id}", {"endpoint": {"url": "http://172.25.0.10:3839"}}),
)

_DEFAULT_LIMIT = {
    "service_id": "{service_id}",
    "region_id": "{region_id}",
    "resource_name": "things",
    "default_limit": 10,
}
_LIMIT = {
    "service_id": "{service_id}",
    "region_id": "{region_id}",
    "resource_name": "things",
    "project_id": "{project_id}",
    "resource_limit": 5,
}
LIMITS = (
    Call("POST /v3/registered_limits", {"registered_limits": [_DEFAULT_LIMIT]},
         "registered_limit_id=registered_limits.0.id"),
    Call("GET /v3/registered_limits"),
    Call("GET /v3/registered_limits/{registered_limit_id}"),
    Call("PATCH /v3/registered_limits/{registered_limit_id}", {"registered_limit": {"default_limit": 12}}),
    Call("POST /v3/limits", {"limits": [_LIMIT]}, "limit_id=limits.0.id"),
    Call("GET /v3/limits"),
    Call("GET /v3/limits/model"),
    Call("GET /v3/limits/{limit_id}"),
    Call("PATCH /v3/limits/{limit_id}", {"limit": {"resource_limit": 7}}),
)  # fmt: skip

AWAY = (
    Call("DELETE /v3/limits/{limit_id}"),
    Call("DELETE /v3/registered_limits/{registered_limit_id}"),
    Call("DELETE /v3/endpoints/{endpoint_id}"),
    Call("DELETE /v3/services/{service_id}"),
    Call("DELETE /v3/regions/{region_id}"),
    Call("DELETE /v3/roles/{role_id}/implies/{implied_role_id}"),
    Call("DELETE /v3/roles/{role_id}"),
    Call("DELETE /v3/groups/{group_id}/users/{user_id}"),
    Call("DELETE /v3/groups/{group_id}"),
    Call("DELETE /v3/users/{user_id}"),
    Call("DELETE /v3/projects/{project_id}"),
    Call("PATCH /v3/domains/{domain_id}", {"domain": {"enabled": False}}),
    Call("DELETE /v3/domains/{domain_id}"),
)

CALLS = (
    *TOKENS, *DOMAINS, *DOMAIN_CONFIG, *PROJECTS, *PEOPLE, *ROLES, *GRANTS, *CATALOG, *LIMITS, *CREDENTIALS,
    *TRUSTS, *OAUTH, *ENDPOINT_FILTER, *POLICIES, *FEDERATION, *AWAY,
)  # fmt: skip
