# SPDX-License-Identifier: Apache-2.0
"""How volumes of a type are to be encrypted. No back end here can do it, so such a type makes no volumes."""

from typing import Any

from altostratus.kernel import ids
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.api import schemas
from altostratus.services.block_storage.logic import types
from altostratus.services.block_storage.models.types import VolumeType

_RULE = "volume_extension:volume_type_encryption:"
_IN_USE = "Cannot change the encryption of a volume type that is in use."
_FIELDS: dict[str, dict[str, Any]] = {
    "provider": {"type": "string", "minLength": 1, "maxLength": 255},
    "control_location": {"enum": ["front-end", "back-end"]},
    "cipher": {"type": ["string", "null"], "maxLength": 255},
    "key_size": {"type": ["integer", "string", "null"], "pattern": "^[0-9]{1,9}$", "minimum": 0},
}


def _values(call: Call) -> dict[str, Any]:
    values = dict(call.body["encryption"])
    if values.get("key_size") is not None:
        values["key_size"] = int(values["key_size"])
    return values


def _known(call: Call) -> dict[str, Any]:
    known: dict[str, Any] | None = call.row.encryption
    asked = call.params.get("encryption_id")
    if known is None or asked not in (None, known["encryption_id"]):
        raise NotFound(f"Volume type {call.row.id} has no encryption {asked or ''}.")
    return known


def create(call: Call) -> Reply:
    if call.row.encryption is not None:
        raise BadRequest(f"Volume type encryption for type {call.row.id} already exists.")
    types.demand_unused(call.tx, call.row.id, "Cannot create encryption specs. Volume type in use.")
    made = {"cipher": None, "key_size": None} | _values(call)
    made |= {"encryption_id": ids.new_id(), "volume_type_id": call.row.id}
    call.tx.update(VolumeType, call.row.id, encryption=made)
    return Reply(200, {"encryption": made})


def show(call: Call) -> Reply:
    return Reply(200, call.row.encryption or {})


def show_item(call: Call) -> Reply:
    known, key = call.row.encryption or {}, call.params["key"]
    if key not in known:
        raise NotFound(f"Volume type {call.row.id} has no encryption spec {key}.")
    return Reply(200, {key: known[key]})


def update(call: Call) -> Reply:
    known = _known(call)
    types.demand_unused(call.tx, call.row.id, _IN_USE)
    call.tx.update(VolumeType, call.row.id, encryption=known | _values(call))
    return Reply(200, {"encryption": _values(call)})


def delete(call: Call) -> Reply:
    _known(call)
    types.demand_unused(call.tx, call.row.id, _IN_USE)
    call.tx.update(VolumeType, call.row.id, encryption=None)
    return Reply(202)


class TypeEncryption(Resource, path="/types"):
    """Encryption that a volume type asks for."""

    row = VolumeType
    what = "volume type"
    make = Op(
        "POST", "/{id}/encryption", _RULE + "create", ADMIN, create,
        body=schemas.wrapped("encryption", schemas.closed(("provider", "control_location"), **_FIELDS)),
    )  # fmt: skip
    show = Op("GET", "/{id}/encryption", _RULE + "get", ADMIN, show)
    show_item = Op("GET", "/{id}/encryption/{key}", _RULE + "get", ADMIN, show_item)
    change = Op(
        "PUT", "/{id}/encryption/{encryption_id}", _RULE + "update", ADMIN, update,
        body=schemas.wrapped("encryption", schemas.closed((), **_FIELDS) | {"minProperties": 1}),
    )  # fmt: skip
    remove = Op("DELETE", "/{id}/encryption/{encryption_id}", _RULE + "delete", ADMIN, delete, status=202)
