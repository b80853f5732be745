# SPDX-License-Identifier: Apache-2.0
"""`/os-security-groups` and `/os-security-group-rules`, before 2.36: the network service's groups in old clothes."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, OverQuota
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import UUID, closed, limited, wrapped
from altostratus.services.network.public import proxied

_RULE: Final = "os_compute_api:os-security-groups"
_LAST: Final = "2.35"
_IS_ID = re.compile(UUID["pattern"])
_GROUP = closed(
    {"name": {"type": "string", "minLength": 0, "maxLength": 255}, "description": {"type": ["string", "null"]}},
    "name", "description",
)  # fmt: skip
_PORT = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
_NEW_RULE = closed(
    {
        "parent_group_id": UUID,
        "ip_protocol": {"type": ["string", "null"]},
        "from_port": _PORT,
        "to_port": _PORT,
        "cidr": {"type": ["string", "null"]},
        "group_id": {"type": ["string", "null"], "pattern": UUID["pattern"]},
    },
    "parent_group_id",
)


@contextmanager
def _old_codes() -> Iterator[None]:
    """These calls know neither 409 nor the network service's codes for quotas."""
    try:
        yield
    except OverQuota as error:
        raise Forbidden(str(error)) from None
    except Conflict as error:
        raise BadRequest(str(error)) from None


def _id(call: Call) -> str:
    given = call.params["id"]
    if not _IS_ID.fullmatch(given):
        raise BadRequest(f"Security group id should be uuid, not {given!r}.")
    return given


def _shown_rule(rule: proxied.RuleInfo) -> dict[str, Any]:
    low, high = rule.port_min, rule.port_max
    if rule.protocol and low is None and high is None:
        low, high = (1, 65535) if rule.protocol in ("tcp", "udp") else (-1, -1)
    shown: dict[str, Any] = {
        "id": rule.id,
        "parent_group_id": rule.group_id,
        "ip_protocol": rule.protocol,
        "from_port": low,
        "to_port": high,
        "group": {},
        "ip_range": {},
    }
    if rule.remote_group is not None:
        shown["group"] = {"name": rule.remote_group[0], "tenant_id": rule.remote_group[1]}
    else:
        shown["ip_range"] = {"cidr": rule.remote_ip_prefix or "0.0.0.0/0"}
    return shown


def _shown(group: proxied.GroupInfo) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "rules": [_shown_rule(rule) for rule in group.rules],
    }


def list_groups(call: Call) -> Reply:
    """Groups of the project; administrators may ask for `all_tenants`."""
    everybody = call.ctx.is_admin and "all_tenants" in call.query
    found = proxied.list_security_groups(call.tx, call.cloud, None if everybody else call.ctx.project_id)
    return Reply(200, {"security_groups": [_shown(group) for group in limited(call, found)]})


def show_group(call: Call) -> Reply:
    return Reply(200, {"security_group": _shown(proxied.get_security_group(call.tx, call.ctx, _id(call)))})


def _values(call: Call) -> dict[str, Any]:
    given = call.body["security_group"]
    return {"name": given["name"], "description": given["description"] or ""}


def create_group(call: Call) -> Reply:
    with _old_codes():
        made = proxied.create_security_group(call.tx, call.cloud, str(call.ctx.project_id), _values(call))
    return Reply(200, {"security_group": _shown(made)})


def update_group(call: Call) -> Reply:
    with _old_codes():
        changed = proxied.update_security_group(call.tx, call.cloud, call.ctx, _id(call), _values(call))
    return Reply(200, {"security_group": _shown(changed)})


def delete_group(call: Call) -> Reply:
    with _old_codes():
        proxied.delete_security_group(call.tx, call.cloud, call.ctx, _id(call))
    return Reply(202)


class SecurityGroups(Resource, path="/os-security-groups"):
    """Security groups. Use the network service."""

    index = Op("GET", "", f"{_RULE}:get", READER, list_groups, until=_LAST, tx="write")
    show = Op("GET", "/{id}", f"{_RULE}:show", READER, show_group, until=_LAST)
    create = Op(
        "POST", "", f"{_RULE}:create", MEMBER, create_group, until=_LAST, body=wrapped("security_group", _GROUP)
    )
    update = Op(
        "PUT", "/{id}", f"{_RULE}:update", MEMBER, update_group, until=_LAST, body=wrapped("security_group", _GROUP)
    )
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", MEMBER, delete_group, until=_LAST)


def _ports(given: dict[str, Any], protocol: str | None) -> tuple[int | None, int | None]:
    """Ports, or type and code; -1 is any. Raises BadRequest."""
    low, high = given.get("from_port"), given.get("to_port")
    if low is None and high is None and given.get("group_id"):
        low, high = (-1, -1) if protocol == "icmp" else (1, 65535) if protocol in ("tcp", "udp") else (None, None)
    if low is None or high is None or protocol is None:
        if given.get("group_id"):
            return None, None
        raise BadRequest("Not enough parameters to build a valid rule: give ip_protocol, from_port and to_port.")
    low, high = int(low), int(high)
    if protocol not in ("tcp", "udp", "icmp"):
        raise BadRequest(f"Invalid IP protocol {protocol}. Use tcp, udp or icmp.")
    if protocol == "icmp":
        if not (-1 <= low <= 255 and -1 <= high <= 255):
            raise BadRequest(f"Invalid port range {low}:{high}. For ICMP, type and code are -1 to 255.")
        return (None if low == -1 else low), (None if high == -1 else high)
    if not 1 <= low <= high <= 65535:
        raise BadRequest(f"Invalid port range {low}:{high}. Valid ports are 1 to 65535, the smaller one first.")
    return low, high


def _source(given: dict[str, Any]) -> dict[str, Any]:
    if given.get("group_id"):
        return {"remote_group_id": given["group_id"]}
    cidr = unquote(given.get("cidr") or "0.0.0.0/0")
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise BadRequest(f"Invalid cidr {cidr}.") from None
    if network.prefixlen == 0 and cidr.partition("/")[0] not in ("0.0.0.0", "::"):
        raise BadRequest(f"Bad prefix for network in cidr {cidr}.")
    return {"remote_ip_prefix": cidr, "ethertype": f"IPv{network.version}"}


def create_rule(call: Call) -> Reply:
    """Let something in."""
    given = call.body["security_group_rule"]
    protocol = given["ip_protocol"].lower() if given.get("ip_protocol") else None
    group_id = given["parent_group_id"]
    proxied.get_security_group(call.tx, call.ctx, group_id)
    low, high = _ports(given, protocol)
    values = {"protocol": protocol, "port_range_min": low, "port_range_max": high, **_source(given)}
    with _old_codes():
        made = proxied.add_security_group_rule(call.tx, call.cloud, call.ctx, group_id, values)
    return Reply(200, {"security_group_rule": _shown_rule(made)})


def delete_rule(call: Call) -> Reply:
    proxied.remove_security_group_rule(call.tx, call.cloud, call.ctx, _id(call))
    return Reply(202)


class SecurityGroupRules(Resource, path="/os-security-group-rules"):
    """What security groups let in. Use the network service."""

    create = Op(
        "POST", "", f"{_RULE}:rule:create", MEMBER, create_rule, until=_LAST,
        body=wrapped("security_group_rule", _NEW_RULE),
    )  # fmt: skip
    delete = Op("DELETE", "/{id}", f"{_RULE}:rule:delete", MEMBER, delete_rule, until=_LAST)
