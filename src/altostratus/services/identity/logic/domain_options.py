# SPDX-License-Identifier: Apache-2.0
"""The options that a domain may have of its own, with their defaults: upstream's names and upstream's values.

Upstream's `keystone.resource.core.DomainConfigManager` lists which options a domain may set. Added here, as an operator
of upstream would by `additional_whitelisted_options`: the rights to write, timeouts and nested groups.
"""

from typing import Any, Final

IDENTITY: Final[dict[str, Any]] = {"driver": "sql", "list_limit": None}
LDAP: Final[dict[str, Any]] = {
    "url": "ldap://localhost",
    "user": None,
    "suffix": "cn=example,cn=com",
    "query_scope": "one",
    "page_size": 0,
    "alias_dereferencing": "default",
    "debug_level": None,
    "chase_referrals": None,
    "user_tree_dn": None,
    "user_filter": None,
    "user_objectclass": "inetOrgPerson",
    "user_id_attribute": "cn",
    "user_name_attribute": "sn",
    "user_mail_attribute": "mail",
    "user_description_attribute": "description",
    "user_pass_attribute": "userPassword",
    "user_enabled_attribute": "enabled",
    "user_enabled_invert": False,
    "user_enabled_mask": 0,
    "user_enabled_default": "True",
    "user_attribute_ignore": ["default_project_id"],
    "user_default_project_id_attribute": None,
    "user_enabled_emulation": False,
    "user_enabled_emulation_dn": None,
    "user_enabled_emulation_use_group_config": False,
    "user_additional_attribute_mapping": [],
    "user_allow_create": False,
    "user_allow_update": False,
    "user_allow_delete": False,
    "group_tree_dn": None,
    "group_filter": None,
    "group_objectclass": "groupOfNames",
    "group_id_attribute": "cn",
    "group_name_attribute": "ou",
    "group_members_are_ids": False,
    "group_member_attribute": "member",
    "group_desc_attribute": "description",
    "group_attribute_ignore": [],
    "group_additional_attribute_mapping": [],
    "group_ad_nesting": False,
    "group_allow_create": False,
    "group_allow_update": False,
    "group_allow_delete": False,
    "tls_cacertfile": None,
    "tls_cacertdir": None,
    "use_tls": False,
    "tls_req_cert": "demand",
    "connection_timeout": -1,
    "use_pool": True,
    "pool_size": 10,
    "pool_retry_max": 3,
    "pool_retry_delay": 0.1,
    "pool_connection_timeout": -1,
    "pool_connection_lifetime": 600,
    "use_auth_pool": True,
    "auth_pool_size": 100,
    "auth_pool_connection_lifetime": 60,
}
OPTIONS: Final[dict[str, dict[str, Any]]] = {"identity": IDENTITY, "ldap": LDAP}
# never shown; other options may hold them as `%(password)s`
SENSITIVE: Final[dict[str, dict[str, Any]]] = {"identity": {}, "ldap": {"password": None}}

_NUMBERS_WITHOUT_DEFAULT = frozenset({"list_limit", "debug_level"})
_FLAGS_WITHOUT_DEFAULT = frozenset({"chase_referrals"})
LONGEST_VALUE = 4096


def kind_of(group: str, option: str) -> type:
    """bool, int, float, list (of texts) or str."""
    if option in _NUMBERS_WITHOUT_DEFAULT:
        return int
    if option in _FLAGS_WITHOUT_DEFAULT:
        return bool
    default = (OPTIONS[group] | SENSITIVE[group])[option]
    return str if default is None else type(default)
