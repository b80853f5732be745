# SPDX-License-Identifier: Apache-2.0
"""Configuration of single domains: where their users come from."""

from typing import Any

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.targets import flat
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import domain_config

_BODY = {"type": "object", "properties": {"config": {"type": "object"}}}
_GROUP, _OPTION = "/{group}", "/{group}/{option}"


def _named(call: Call) -> tuple[str | None, str | None]:
    """Group and option of the path."""
    return call.params.get("group"), call.params.get("option")


def _domain(call: Call) -> dict[str, Any]:
    row = call.tx.find(models.Project, call.params["domain_id"])
    call.row = row if row is not None and row.is_domain else None
    return flat("domain", call.row)


def _domain_id(call: Call) -> str:
    """Of the domain in the path. Raises NotFound."""
    if call.row is None:
        raise not_found("domain", call.params["domain_id"])
    return str(call.row.id)


def show_config(call: Call) -> Reply:
    return Reply(200, {"config": domain_config.show(call.tx, _domain_id(call), *_named(call))})


def replace_config(call: Call) -> Reply:
    config, is_first = domain_config.replace(call.tx, call.cloud, _domain_id(call), call.body.get("config"))
    return Reply(201 if is_first else 200, {"config": config})


def update_config(call: Call) -> Reply:
    config = domain_config.update(call.tx, call.cloud, _domain_id(call), call.body.get("config"), *_named(call))
    return Reply(200, {"config": config})


def delete_config(call: Call) -> None:
    domain_config.delete(call.tx, call.cloud, _domain_id(call), *_named(call))


def show_defaults(call: Call) -> Reply:
    return Reply(200, {"config": domain_config.defaults(*_named(call))})


def show_security_compliance(call: Call) -> Reply:
    """Rules for passwords, for everybody who has a token."""
    rules, option = call.cloud[IdentityOptions], call.params.get("option")
    return Reply(200, {"config": domain_config.security_compliance(rules, _domain_id(call), option)})


def refuse_change(_call: Call) -> None:
    raise domain_config.refusal(
        f"Group {domain_config.SECURITY_COMPLIANCE} is not supported for domain specific configurations. Set the rules"
        " for passwords in section [identity] of the configuration file"
    )


def _show(path: str) -> Op:
    return Op("GET", path, "identity:get_domain_config", policies.ADMIN_OR_SYSTEM_READER, show_config, target=_domain)


def _update(path: str) -> Op:
    return Op("PATCH", path, "identity:update_domain_config", policies.ADMIN, update_config, body=_BODY,
              target=_domain)  # fmt: skip


def _delete(path: str) -> Op:
    return Op("DELETE", path, "identity:delete_domain_config", policies.ADMIN, delete_config, status=204,
              target=_domain)  # fmt: skip


def _default(path: str) -> Op:
    return Op("GET", path, "identity:get_domain_config_default", policies.ADMIN_OR_SYSTEM_READER, show_defaults,
              tx="none")  # fmt: skip


class DomainConfig(Resource, path="/domains/{domain_id}/config"):
    """What a domain has instead of the defaults: its driver, and its LDAP directory."""

    show = _show("")
    show_group = _show(_GROUP)
    show_option = _show(_OPTION)
    replace = Op("PUT", "", "identity:create_domain_config", policies.ADMIN, replace_config, status=201, body=_BODY,
                 target=_domain)  # fmt: skip
    update = _update("")
    update_group = _update(_GROUP)
    update_option = _update(_OPTION)
    delete = _delete("")
    delete_group = _delete(_GROUP)
    delete_option = _delete(_OPTION)


class SecurityCompliance(Resource, path=f"/domains/{{domain_id}}/config/{domain_config.SECURITY_COMPLIANCE}"):
    """What people must know to choose a password."""

    show = Op("GET", "", "identity:get_security_compliance_domain_config", "@", show_security_compliance,
              target=_domain)  # fmt: skip
    show_option = Op("GET", "/{option}", "identity:get_security_compliance_domain_config", "@",
                     show_security_compliance, target=_domain)  # fmt: skip
    update = Op("PATCH", "", "identity:update_domain_config", policies.ADMIN, refuse_change)
    update_option = Op("PATCH", "/{option}", "identity:update_domain_config", policies.ADMIN, refuse_change)
    delete = Op("DELETE", "", "identity:delete_domain_config", policies.ADMIN, refuse_change)
    delete_option = Op("DELETE", "/{option}", "identity:delete_domain_config", policies.ADMIN, refuse_change)


class DomainConfigDefault(Resource, path="/domains/config"):
    """What domains have that configure nothing."""

    show = _default("/default")
    show_group = _default(f"{_GROUP}/default")
    show_option = _default(f"{_OPTION}/default")
