# SPDX-License-Identifier: Apache-2.0
"""Classic roles: admin, itsec, projectmanager, netadmin, developer, as the first releases of OpenStack had them.

A set of policy files that an operator may apply. Whoever has none of these roles keeps the rights of before.
"""

from collections.abc import Iterator
from typing import NamedTuple

from altostratus.kernel.resource.service import Service

NAME = "classic-roles"


class ClassicRole(NamedTuple):
    """A role of the set. `implies`: the role whose rights it has besides."""

    name: str
    description: str
    implies: str | None


ROLES = (
    ClassicRole("admin", "The whole cloud.", None),
    ClassicRole("itsec", "IT security: sees servers of every project and puts them under quarantine.", "reader"),
    ClassicRole("projectmanager", "Adds users to its project, starts and ends its servers, sees its images.", "reader"),
    ClassicRole("netadmin", "Allocates and assigns its project's public addresses, writes firewall rules.", "reader"),
    ClassicRole("developer", "The default: everything in a project but public addresses and firewalls.", "member"),
)
# what a project manager may give and take; never admin, itsec or manager, so nobody climbs by it
GRANTABLE = ("developer", "netadmin", "projectmanager", "member", "reader")

_OWN = "project_id:%(project_id)s"
_OWN_GROUP = "rule:sg_owner"
_OWN_ADDRESS = "rule:ext_parent_owner"
# netadmin's, and nobody else's who came by the role developer: rule -> whose thing it is
_NETADMIN = {
    "network": {
        **{f"{verb}_floatingip": _OWN for verb in ("create", "update", "delete")},
        **{f"{verb}_floatingip_port_forwarding": _OWN_ADDRESS for verb in ("create", "update", "delete")},
        **{f"{verb}_security_group": _OWN for verb in ("create", "update", "delete")},
        **{f"{verb}_security_group_rule": _OWN_GROUP for verb in ("create", "delete")},
    },
    "compute": {
        **{f"os_compute_api:os-floating-ips:{verb}": _OWN for verb in ("create", "delete", "add", "remove")},
        **{f"os_compute_api:os-security-groups:{verb}": _OWN for verb in ("create", "update", "delete")},
        **{f"os_compute_api:os-security-groups:rule:{verb}": _OWN for verb in ("create", "delete")},
    },
}
_LAUNCHING = ("create", "create:attach_network", "create:attach_volume", "delete", "start", "stop", "reboot")
_PROJECTMANAGER = {
    "compute": {f"os_compute_api:servers:{name}": _OWN for name in _LAUNCHING},
    "image": {"get_images": _OWN, "get_image": _OWN},
    "identity": {
        **dict.fromkeys(("identity:list_grants", "identity:check_grant"), "rule:classic_own_project"),
        **dict.fromkeys(("identity:create_grant", "identity:revoke_grant"), "rule:classic_grant"),
        "identity:get_user": "project_domain_id:%(target.user.domain_id)s",
        "identity:list_users": "project_domain_id:%(target.domain_id)s",
        **dict.fromkeys(("identity:list_roles", "identity:get_role"), "@"),
    },
}
_ITSEC = {"compute": [f"os_compute_api:servers:{verb}:get_all_tenants" for verb in ("index", "detail")]}
_OF_ITS_OWN = {
    "identity": {
        "classic_own_project": "project_id:%(target.project.id)s and False:%(target.inherited)s",
        "classic_grantable": " or ".join(f"'{name}':%(target.role.name)s" for name in GRANTABLE),
        "classic_grant": (
            "rule:classic_own_project and project_domain_id:%(target.user.domain_id)s"
            " and rule:classic_grantable and None:%(target.role.domain_id)s"
        ),
    }
}


def rules_of(service: Service) -> dict[str, str]:
    """Check strings of the set for one service, made of its defaults; empty if it needs none."""
    defaults = {rule.name: rule.check for rule in service.declared_rules()}
    found = dict(_OF_ITS_OWN.get(service.type, {}))
    for name, addition in _additions(service.type):
        found[name] = f"({found.get(name, defaults[name])}) or ({addition})"
    for name, own in _NETADMIN.get(service.type, {}).items():
        found[name] = (
            f"rule:context_is_admin or (role:netadmin and {own}) or (({defaults[name]}) and not role:developer)"
        )
    return found


def _additions(service_type: str) -> Iterator[tuple[str, str]]:
    for name, own in _PROJECTMANAGER.get(service_type, {}).items():
        yield name, f"role:projectmanager and {own}"
    for name in _ITSEC.get(service_type, ()):
        yield name, "role:itsec"
