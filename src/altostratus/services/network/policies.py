# SPDX-License-Identifier: Apache-2.0
"""Who may do what: upstream's rules beyond the usual personas, and its `field:` check."""

import re
from collections.abc import Mapping
from typing import Any

from oslo_policy import policy

from altostratus.kernel.policy import Persona, Rule


@policy.register("field")
class FieldCheck(policy.Check):
    """`field:networks:shared=True`, `field:port:device_owner=~^network:`: looks at the target itself."""

    def __init__(self, kind: str, match: str) -> None:
        super().__init__(kind, match)
        _, _, condition = match.partition(":")
        name, _, wanted = condition.partition("=")
        self._names = (name, name.replace(":", "_"))
        self._pattern = re.compile(wanted[1:]) if wanted.startswith("~") else None
        self._wanted = wanted

    def __call__(self, target: Mapping[str, Any], creds: Any, enforcer: Any, current_rule: Any = None) -> bool:
        value = next((target[name] for name in self._names if target.get(name) is not None), None)
        if value is None:
            return False
        return bool(self._pattern.match(str(value))) if self._pattern else str(value) == self._wanted


_NET_MEMBER = "(role:member and rule:network_owner)"
_NET_READER = "(role:reader and rule:network_owner)"
_SG_MEMBER = "(role:member and rule:sg_owner)"
_SG_READER = "(role:reader and rule:sg_owner)"

NETWORK_READER = Persona("reader, or anybody if shared", "rule:project_reader_or_admin or rule:shared or rule:external")
NETWORK_OWNER = Persona("member who owns the network", f"rule:context_is_admin or {_NET_MEMBER}")
SUBNET_READER = Persona(
    "reader, or anybody if shared",
    f"rule:project_reader_or_admin or rule:shared or rule:external_network or {_NET_READER}",
)
SUBNET_MEMBER = Persona("member", f"rule:project_member_or_admin or {_NET_MEMBER}")
PORT_CREATOR = Persona(
    "member who owns the network", f"rule:service_or_admin or {_NET_MEMBER} or (role:member and rule:shared)"
)
PORT_READER = Persona("reader", f"rule:service_or_admin or rule:project_reader_api or {_NET_READER}")
PORT_MEMBER = Persona("member", "rule:service_or_admin or rule:project_member_api")
PORT_DELETER = Persona("member", f"rule:service_or_admin or rule:project_member_api or {_NET_MEMBER}")
GROUP_MEMBER = Persona("member who owns the group", f"rule:context_is_admin or {_SG_MEMBER}")
GROUP_READER = Persona("reader who owns the group", f"rule:context_is_admin or {_SG_READER}")
PARENT_MEMBER = Persona(
    "member who owns the floating IP", "rule:context_is_admin or (role:member and rule:ext_parent_owner)"
)
PARENT_READER = Persona(
    "reader who owns the floating IP", "rule:context_is_admin or (role:reader and rule:ext_parent_owner)"
)
POOL_READER = Persona("reader, or anybody if shared", "rule:project_reader_or_admin or rule:shared_subnetpools")
QUOTA_READER = Persona("reader", "rule:project_reader_or_admin")

_OWNER_OR_SHARED = f"rule:service_or_admin or {_NET_MEMBER} or rule:shared"
_OWNER = f"rule:service_or_admin or {_NET_MEMBER}"


def _port_rules() -> list[Rule]:
    checks = {
        "device_owner": f"not rule:network_device or {_OWNER}",
        "fixed_ips": _OWNER_OR_SHARED,
        "fixed_ips:ip_address": _OWNER,
        "fixed_ips:subnet_id": _OWNER_OR_SHARED,
        "port_security_enabled": _OWNER,
        "allowed_address_pairs": _OWNER,
        "binding:host_id": "rule:service_or_admin",
        "binding:profile": "rule:service_or_admin",
        "binding:vnic_type": "rule:service_or_admin or rule:project_member_api",
    }
    rules = [
        Rule(f"{verb}_port:{name}", check, f"{verb.capitalize()} a port with {name}.")
        for verb in ("create", "update")
        for name, check in checks.items()
    ]
    rules += [
        Rule("create_port:mac_address", _OWNER, "Choose the MAC address of a new port."),
        Rule(
            "update_port:mac_address",
            "rule:service_or_admin or (role:manager and rule:network_owner)",
            "Change the MAC address of a port.",
        ),
    ]
    rules += [
        Rule(f"get_port:binding:{name}", "rule:service_or_admin", f"See binding:{name} of a port.")
        for name in ("host_id", "profile", "vif_type", "vif_details")
    ]
    return rules


def _router_rules() -> list[Rule]:
    rules = []
    for verb in ("create", "update"):
        start = f"{verb}_router:external_gateway_info"
        rules += [
            Rule(start, "rule:project_member_or_admin", "Give a router a gateway."),
            Rule(f"{start}:enable_snat", "rule:context_is_admin", "Choose whether a router's gateway translates."),
            Rule(f"{start}:external_fixed_ips", "rule:context_is_admin", "Choose a router's external addresses."),
        ]
    return rules


RULES = (
    Rule("shared", "field:networks:shared=True", "The network is shared."),
    Rule("external", "field:networks:router:external=True", "The network is external."),
    Rule("external_network", "field:subnets:router:external=True", "The subnet's network is external."),
    Rule("shared_subnetpools", "field:subnetpools:shared=True", "The subnet pool is shared."),
    Rule("network_device", "field:port:device_owner=~^network:", "The port belongs to the network service."),
    Rule("network_owner", "project_id:%(network:project_id)s", "The caller's project owns the network."),
    Rule("sg_owner", "project_id:%(security_group:project_id)s", "The caller's project owns the group."),
    Rule("ext_parent_owner", "project_id:%(ext_parent:project_id)s", "The caller's project owns the parent."),
    Rule("owner", "project_id:%(project_id)s", "The caller's project owns it."),
    Rule("admin_only", "rule:context_is_admin", "Administrators."),
    Rule("admin_or_owner", "rule:context_is_admin or rule:owner", "Administrators and the owning project."),
    Rule("admin_or_network_owner", "rule:context_is_admin or rule:network_owner", "As it says."),
    Rule("create_floatingip:floating_ip_address", "rule:project_manager_or_admin", "Choose a floating IP's address."),
    *_port_rules(),
    *_router_rules(),
)
