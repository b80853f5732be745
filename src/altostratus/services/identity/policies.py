# SPDX-License-Identifier: Apache-2.0
"""Default rules, with upstream's meaning: who is an administrator, a domain's manager, a system reader ...

Targets are flat mappings under upstream's names (`target.user.domain_id`); see `api/targets.py`.
"""

from altostratus.kernel.policy import Persona, Rule

# What is about the whole cloud is not for tokens of a domain, whatever role they carry.
_NOT_DOMAIN = ("system", "project")
_ADMIN = "rule:admin_required"
_READERS = f"{_ADMIN} or (role:reader and system_scope:all)"
ADMIN = Persona("admin", _ADMIN, _NOT_DOMAIN)
PROJECT_ADMIN = Persona("admin", _ADMIN, ("project",))
ADMIN_OR_SYSTEM_READER = Persona("admin or system reader", _READERS, _NOT_DOMAIN)
ANYBODY = "@"
OWNER = Persona("owner", "rule:owner", ("project",))
OWNER_READER = Persona("owner, admin or system reader", f"{_READERS} or rule:owner", _NOT_DOMAIN)
ADMIN_OR_OWNER = Persona("owner or admin", f"{_ADMIN} or rule:owner", _NOT_DOMAIN)


def reader_of(domain: str) -> str:
    """Administrators, system readers, and readers of the domain that `domain` names in the target."""
    return f"{_READERS} or (role:reader and domain_id:%({domain})s)"


def manager_of(domain: str) -> str:
    return f"{_ADMIN} or (role:manager and domain_id:%({domain})s)"


USER_READER = f"{reader_of('target.user.domain_id')} or user_id:%(target.user.id)s"
PROJECT_READER = f"{reader_of('target.project.domain_id')} or project_id:%(target.project.id)s"
USER_PROJECTS = f"{reader_of('target.user.domain_id')} or user_id:%(target.user.id)s"
USER_GROUPS = f"{reader_of('target.user.domain_id')} or user_id:%(user_id)s"
LIST_READER = reader_of("target.domain_id")
MEMBERSHIP_READER = (
    f"{_READERS} or (role:reader and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)"
)
MEMBERSHIP_MANAGER = (
    f"{_ADMIN} or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)"
)
DOMAIN_READER = f"{_READERS} or token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s"
DOMAINS_READER = reader_of("target.domain.id")
ROLE_READER = f"{_READERS} or (role:manager and rule:domain_managed_target_role)"
ROLES_READER = f"{_READERS} or (role:manager and not domain_id:None)"
TOKEN_CHECKER = f"{_READERS} or rule:token_subject"
TOKEN_VALIDATOR = f"{_READERS} or rule:service_role or rule:token_subject"
TOKEN_REVOKER = f"{_ADMIN} or rule:token_subject"
CREDENTIAL_READER = f"{_READERS} or user_id:%(target.credential.user_id)s"
CREDENTIAL_OWNER = f"{_ADMIN} or user_id:%(target.credential.user_id)s"
EC2_OWNER = Persona(
    "owner or admin", f"{_ADMIN} or (role:member and user_id:%(target.credential.user_id)s)", _NOT_DOMAIN
)
EC2_READER = Persona("owner, admin or system reader", CREDENTIAL_READER, _NOT_DOMAIN)
LIMIT_READER = (
    f"{_READERS}"
    " or domain_id:%(target.limit.domain_id)s or domain_id:%(target.limit.project.domain_id)s"
    " or project_id:%(target.limit.project_id)s"
)


_OF_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_OF_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"
TRUSTOR = Persona("trustor", _OF_TRUSTOR, ("project",))
ADMIN_OR_TRUSTOR = Persona("admin or trustor", f"{_ADMIN} or {_OF_TRUSTOR}", _NOT_DOMAIN)
TRUST_READER = Persona(
    "trustor, trustee, admin or system reader", f"{_READERS} or {_OF_TRUSTOR} or {_OF_TRUSTEE}", _NOT_DOMAIN
)
ACCESS_RULE_READER = Persona(
    "owner or system reader", "(role:reader and system_scope:all) or user_id:%(target.user.id)s", _NOT_DOMAIN
)
ACCESS_RULE_OWNER = Persona(
    "owner or system admin", "(role:admin and system_scope:all) or user_id:%(target.user.id)s", _NOT_DOMAIN
)


def _in_own_domain(role: str) -> str:
    """The caller's domain owns both the actor and the target of an assignment."""
    pairs = [
        f"(role:{role} and domain_id:%(target.{actor}.domain_id)s and domain_id:%({place})s)"
        for actor in ("user", "group")
        for place in ("target.project.domain_id", "target.domain.id")
    ]
    return "(" + " or ".join(pairs) + ")"


_OWN_OR_GLOBAL_ROLE = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"
GRANTS_READER = f"{_READERS} or {_in_own_domain('reader')}"
GRANT_READER = f"{_READERS} or ({_in_own_domain('reader')} and {_OWN_OR_GLOBAL_ROLE})"
GRANT_WRITER = (
    f"{_ADMIN} or ({_in_own_domain('admin')} and {_OWN_OR_GLOBAL_ROLE} and not rule:cloud_wide_role)"
    f" or ({_in_own_domain('manager')} and rule:domain_managed_target_role)"
)

RULES = (
    # in a token of a domain the role rules that domain: `manager`, which it implies, says what that means
    Rule("admin_required", "role:admin and domain_id:None", "The cloud's administrators."),
    Rule("service_role", "role:service", "Other services of the cloud."),
    Rule("service_or_admin", "rule:admin_required or rule:service_role", "Other services, and administrators."),
    Rule("owner", "user_id:%(user_id)s", "The user that the path names."),
    Rule("admin_or_owner", "rule:admin_required or rule:owner", "Administrators, and the user that the path names."),
    Rule("token_subject", "user_id:%(target.token.user_id)s", "The user that the subject token belongs to."),
    Rule("admin_or_token_subject", "rule:admin_required or rule:token_subject", "Administrators, and that user."),
    Rule(
        "cloud_wide_role",
        "'admin':%(target.role.name)s or 'service':%(target.role.name)s or 'itsec':%(target.role.name)s",
        "Roles with power over other domains, wherever they are given: the administrator of a domain gives none.",
    ),
    Rule(
        "domain_managed_target_role",
        "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",
        "Roles that the manager of a domain may give and take.",
    ),
    Rule(
        "identity:check_token", TOKEN_CHECKER, "Check a token.", (("HEAD", "/identity/v3/auth/tokens"),)
    ),
    Rule(
        "identity:validate_token", TOKEN_VALIDATOR, "Show a token.", (("GET", "/identity/v3/auth/tokens"),)
    ),
    Rule(
        "identity:revoke_token", TOKEN_REVOKER, "Revoke a token.", (("DELETE", "/identity/v3/auth/tokens"),)
    ),
    Rule(
        "identity:list_domain_roles", _READERS, "List a domain's own roles.",
        (("GET", "/identity/v3/roles?domain_id={domain_id}"),), _NOT_DOMAIN,
    ),
    Rule("identity:get_domain_role", _READERS, "Show a domain's own role.", scopes=_NOT_DOMAIN),
    Rule("identity:create_domain_role", _ADMIN, "Create a role of one domain.", scopes=_NOT_DOMAIN),
    Rule("identity:update_domain_role", _ADMIN, "Change a domain's own role.", scopes=_NOT_DOMAIN),
    Rule("identity:delete_domain_role", _ADMIN, "Delete a domain's own role.", scopes=_NOT_DOMAIN),
    Rule(
        "identity:list_trusts", _READERS, "List all trusts.", (("GET", "/identity/v3/OS-TRUST/trusts"),), _NOT_DOMAIN
    ),
    Rule(
        "identity:list_trusts_for_trustor", f"{_READERS} or {_OF_TRUSTOR}", "List the trusts of a trustor.",
        (("GET", "/identity/v3/OS-TRUST/trusts?trustor_user_id={trustor_user_id}"),), _NOT_DOMAIN,
    ),
    Rule(
        "identity:list_trusts_for_trustee", f"{_READERS} or {_OF_TRUSTEE}", "List the trusts of a trustee.",
        (("GET", "/identity/v3/OS-TRUST/trusts?trustee_user_id={trustee_user_id}"),), _NOT_DOMAIN,
    ),
    Rule("identity:list_role_assignments_for_tree", LIST_READER, "List assignments of a project and all below it."),
)  # fmt: skip
