# SPDX-License-Identifier: Apache-2.0
"""Identity providers, their protocols, mappings and service providers, below `/OS-FEDERATION`."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import MISSING, Computed, Id, Int, ListOf, Object, Text
from altostratus.kernel.resource.operations import Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    CreateAt,
    Description,
    Flag,
    IdentityResource,
    Links,
    list_reply,
)
from altostratus.services.identity.api.targets import needed, row_target
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.federation.mapping_rules import check_rules
from altostratus.services.identity.logic import federation, projects
from altostratus.services.identity.logic.changes import announce

_REMOTE_ID = {"type": "string", "minLength": 1, "maxLength": 255}
_URL = r"^https?://[^\s]+$"


def _new_id(call: Call) -> str:
    """The id in the path. Raises BadRequest for one that is too long."""
    if len(call.params["id"]) > 64:
        raise BadRequest(f"The id of a {call.resource.what} has 64 characters at most.")
    return call.params["id"]


# identity providers

_IDP = row_target("identity provider", models.IdentityProvider)


def _with_remote_ids(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    remote_ids = federation.remote_ids_of(call.tx, [row.id for row in rows])
    return [{**row._mapping, "remote_ids": remote_ids[row.id]} for row in rows]


def list_idps(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


def create_idp(call: Call) -> Any:
    """Without `domain_id` the provider gets a domain of its own, as upstream makes one."""
    idp_id, values = _new_id(call), dict(call.body)
    remote_ids = values.pop("remote_ids", None) or []
    if not values.get("domain_id"):
        words = f"Auto generated federated domain for Identity Provider: {idp_id}"
        domain_id = ids.new_hex_id()
        domain = {"name": domain_id, "description": words, "enabled": True, "options": {}, "extra": {}}
        values["domain_id"] = projects.create_domain(call.tx, call.cloud, domain, domain_id=domain_id).id
    return federation.create_idp(call.tx, call.cloud, idp_id, values, remote_ids)


def update_idp(call: Call) -> Any:
    values = dict(call.body)
    remote_ids = values.pop("remote_ids") or [] if "remote_ids" in values else None
    return federation.update_idp(call.tx, call.cloud, needed(call), values, remote_ids)


def delete_idp(call: Call) -> None:
    federation.delete_idp(call.tx, call.cloud, needed(call).id)


def _idp_links(item: Any, call: Call) -> dict[str, str]:
    here = call.service_url(f"/OS-FEDERATION/identity_providers/{item['id']}")
    return {"self": here, "protocols": f"{here}/protocols"}


class IdentityProvider(
    IdentityResource, path="/OS-FEDERATION/identity_providers", one="identity_provider", many="identity_providers"
):
    """Somebody who vouches for users."""

    unknown = "refuse"
    row = models.IdentityProvider
    load = _with_remote_ids
    id = Id("rfs")
    enabled = Flag("crufs", default=False)
    description = Description()
    domain_id = Text(1, 64, "cr", nullable=True)
    authorization_ttl = Int(0, 5_256_000, "cru", nullable=True)
    remote_ids = ListOf(_REMOTE_ID, "cru", unique=True, nullable=True)
    links = Computed(_idp_links)
    index = List("identity:list_identity_providers", policies.ADMIN_OR_SYSTEM_READER, list_idps)
    create = CreateAt("identity:create_identity_provider", policies.ADMIN, create_idp)
    show = Show("identity:get_identity_provider", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_IDP)
    update = Update("identity:update_identity_provider", policies.ADMIN, update_idp, method="PATCH", own_row=False,
                    target=_IDP)  # fmt: skip
    delete = Delete("identity:delete_identity_provider", policies.ADMIN, delete_idp, own_row=False, target=_IDP)


# protocols


def _protocol_target(call: Call) -> dict[str, Any]:
    call.row = call.tx.find(models.FederationProtocol, call.params["idp_id"], call.params["id"])
    return dict(call.params)


def _needed_protocol(call: Call) -> Any:
    return federation.get_protocol(call.tx, call.params["idp_id"], call.params["id"])


def list_protocols(call: Call) -> Reply:
    if call.tx.find(models.IdentityProvider, call.params["idp_id"]) is None:
        raise not_found("identity provider", call.params["idp_id"])
    protocol = table_of(models.FederationProtocol)
    statement = select(protocol).where(protocol.c.idp_id == call.params["idp_id"])
    return list_reply(call, statement, confined_by=None)


def create_protocol(call: Call) -> Any:
    return federation.create_protocol(call.tx, call.cloud, call.params["idp_id"], _new_id(call), dict(call.body))


def update_protocol(call: Call) -> Any:
    return federation.update_protocol(call.tx, call.cloud, _needed_protocol(call), dict(call.body))


def delete_protocol(call: Call) -> None:
    federation.delete_protocol(call.tx, call.cloud, _needed_protocol(call))


def _remote_id_attribute(item: Any, call: Call) -> Any:
    """Always in lists; else only if there is one, as upstream shows it."""
    value = item["remote_id_attribute"]
    return value if value is not None or call.op.kind == "list" else MISSING


def _protocol_links(item: Any, call: Call) -> dict[str, str]:
    idp = call.service_url(f"/OS-FEDERATION/identity_providers/{item['idp_id']}")
    return {"self": f"{idp}/protocols/{item['id']}", "identity_provider": idp}


class Protocol(
    IdentityResource,
    path="/OS-FEDERATION/identity_providers/{idp_id}/protocols",
    one="protocol",
    many="protocols",
):
    """A way in which an identity provider vouches for users, and the mapping for it."""

    unknown = "refuse"
    row = models.FederationProtocol
    id = Id("rs")
    idp_id = Computed(lambda item, call: item["idp_id"] if call.op.kind == "list" else MISSING)
    mapping_id = Text(1, 64, "cru", required=True)
    remote_id_attribute = Text(0, 64, "cru", nullable=True, source=_remote_id_attribute)
    links = Computed(_protocol_links)
    index = List("identity:list_protocols", policies.ADMIN_OR_SYSTEM_READER, list_protocols)
    create = CreateAt("identity:create_protocol", policies.ADMIN, create_protocol)
    show = Show("identity:get_protocol", policies.ADMIN_OR_SYSTEM_READER, _needed_protocol, own_row=False,
                target=_protocol_target)  # fmt: skip
    update = Update("identity:update_protocol", policies.ADMIN, update_protocol, method="PATCH", own_row=False,
                    target=_protocol_target)  # fmt: skip
    delete = Delete("identity:delete_protocol", policies.ADMIN, delete_protocol, own_row=False,
                    target=_protocol_target)  # fmt: skip


# mappings

_MAPPING = row_target("mapping", models.Mapping)


def list_mappings(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


def _mapping_values(call: Call) -> dict[str, Any]:
    version = call.body.get("schema_version") or call.cloud[FederationOptions].attribute_mapping_default_schema_version
    check_rules(call.body["rules"], version)
    return {"rules": call.body["rules"], "schema_version": version}


def create_mapping(call: Call) -> Any:
    mapping_id = _new_id(call)
    if call.tx.find(models.Mapping, mapping_id) is not None:
        raise duplicate("mapping", mapping_id)
    call.tx.insert(models.Mapping, id=mapping_id, **_mapping_values(call))
    announce(call.tx, call.cloud, "identity.mapping.created", mapping_id)
    return call.tx.get(models.Mapping, mapping_id)


def update_mapping(call: Call) -> Any:
    row = needed(call)
    if "rules" not in call.body:
        raise BadRequest("A mapping is changed as a whole: give its rules.")
    call.tx.update(models.Mapping, row.id, **_mapping_values(call))
    announce(call.tx, call.cloud, "identity.mapping.updated", row.id)
    return call.tx.get(models.Mapping, row.id)


def delete_mapping(call: Call) -> None:
    """Protocols that name it let nobody in until they are given another."""
    row = needed(call)
    call.tx.delete(models.Mapping, row.id)
    announce(call.tx, call.cloud, "identity.mapping.deleted", row.id)


class Mapping(IdentityResource, path="/OS-FEDERATION/mappings", one="mapping", many="mappings"):
    """Rules that make a user, groups and projects of what an identity provider says."""

    unknown = "ignore"
    row = models.Mapping
    id = Id("rs")
    rules = Object("cru", {"type": "array"}, required=True)
    schema_version = Text(1, 5, "cru", nullable=True)
    links = Links("/OS-FEDERATION/mappings")
    index = List("identity:list_mappings", policies.ADMIN_OR_SYSTEM_READER, list_mappings)
    create = CreateAt("identity:create_mapping", policies.ADMIN, create_mapping)
    show = Show("identity:get_mapping", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_MAPPING)
    update = Update("identity:update_mapping", policies.ADMIN, update_mapping, method="PATCH", own_row=False,
                    target=_MAPPING)  # fmt: skip
    delete = Delete("identity:delete_mapping", policies.ADMIN, delete_mapping, own_row=False, target=_MAPPING)


# service providers

_SP = row_target("service provider", models.ServiceProvider)
_RELAY_STATE_PREFIX = "ss:mem:"  # upstream's default of [saml] relay_state_prefix


def list_service_providers(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


def _sp_values(call: Call) -> dict[str, Any]:
    values = dict(call.body)
    if values.get("relay_state_prefix", "") is None:
        values["relay_state_prefix"] = _RELAY_STATE_PREFIX
    return values


def create_service_provider(call: Call) -> Any:
    provider_id = _new_id(call)
    if call.tx.find(models.ServiceProvider, provider_id) is not None:
        raise duplicate("service_provider", provider_id)
    call.tx.insert(models.ServiceProvider, id=provider_id, **_sp_values(call))
    announce(call.tx, call.cloud, "identity.service_provider.created", provider_id)
    return call.tx.get(models.ServiceProvider, provider_id)


def update_service_provider(call: Call) -> Any:
    row, values = needed(call), _sp_values(call)
    if values:
        call.tx.update(models.ServiceProvider, row.id, **values)
    announce(call.tx, call.cloud, "identity.service_provider.updated", row.id)
    return call.tx.get(models.ServiceProvider, row.id)


def delete_service_provider(call: Call) -> None:
    row = needed(call)
    call.tx.delete(models.ServiceProvider, row.id)
    announce(call.tx, call.cloud, "identity.service_provider.deleted", row.id)


class ServiceProvider(
    IdentityResource, path="/OS-FEDERATION/service_providers", one="service_provider", many="service_providers"
):
    """Another cloud that takes our word for our users."""

    unknown = "refuse"
    row = models.ServiceProvider
    id = Id("rfs")
    auth_url = Text(1, 255, "cru", required=True, pattern=_URL)
    sp_url = Text(1, 255, "cru", required=True, pattern=_URL)
    description = Description()
    enabled = Flag("crufs", default=False)
    relay_state_prefix = Text(0, 255, "cru", nullable=True, default=_RELAY_STATE_PREFIX)
    links = Links("/OS-FEDERATION/service_providers")
    index = List("identity:list_service_providers", policies.ADMIN_OR_SYSTEM_READER, list_service_providers)
    create = CreateAt("identity:create_service_provider", policies.ADMIN, create_service_provider)
    show = Show("identity:get_service_provider", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_SP)
    update = Update("identity:update_service_provider", policies.ADMIN, update_service_provider, method="PATCH",
                    own_row=False, target=_SP)  # fmt: skip
    delete = Delete("identity:delete_service_provider", policies.ADMIN, delete_service_provider, own_row=False,
                    target=_SP)  # fmt: skip
