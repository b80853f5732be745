# SPDX-License-Identifier: Apache-2.0
"""QoS specs and the volume types they are associated with."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.logic import types
from altostratus.services.block_storage.models.types import QosSpecs, VolumeType

_RULE = "volume_extension:qos_specs_manage:"
_CONSUMERS = ("front-end", "back-end", "both")
_SPECS: dict[str, Any] = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "integer"], "maxLength": 255}},
    "additionalProperties": False,
}


def _view(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "consumer": row.consumer, "specs": row.specs}


def _shown(call: Call, row: Any) -> Reply:
    url = f"{call.host_url}{call.service.path}/qos-specs/{row.id}"
    links = [{"rel": "self", "href": url}, {"rel": "bookmark", "href": url}]
    return Reply(200, {"qos_specs": _view(row), "links": links})


def create(call: Call) -> Reply:
    given = dict(call.body["qos_specs"])
    name = str(given.pop("name", "")).strip()
    consumer = given.pop("consumer", "back-end")
    if not 0 < len(name) <= 255:
        raise BadRequest("Invalid input for field/attribute name. A QoS spec needs a name of 1 to 255 characters.")
    if consumer not in _CONSUMERS:
        raise BadRequest(f"Invalid qos specs: consumer must be one of {', '.join(_CONSUMERS)}, not {consumer}.")
    if call.tx.find(QosSpecs, name=name) is not None:
        raise Conflict(f"QoS specs {name} already exists.")
    qos_id = ids.new_id()
    specs = {key: str(value) for key, value in given.items()}
    call.tx.insert(QosSpecs, id=qos_id, name=name, consumer=consumer, specs=specs, created_at=clock.now())
    return _shown(call, call.tx.get(QosSpecs, qos_id))


def list_specs(call: Call) -> Reply:
    table = table_of(QosSpecs)
    return Reply(200, {"qos_specs": [_view(row) for row in call.tx.rows(select(table).order_by(table.c.created_at))]})


def show(call: Call) -> Reply:
    return _shown(call, call.row)


def update(call: Call) -> Reply:
    given = dict(call.body["qos_specs"])
    consumer = given.pop("consumer", call.row.consumer)
    if consumer not in _CONSUMERS:
        raise BadRequest(f"Invalid qos specs: consumer must be one of {', '.join(_CONSUMERS)}, not {consumer}.")
    changed = {key: str(value) for key, value in given.items()}
    call.tx.update(QosSpecs, call.row.id, consumer=consumer, specs=call.row.specs | changed)
    return Reply(200, call.body)


def delete_keys(call: Call) -> Reply:
    missing = [key for key in call.body["keys"] if key not in call.row.specs]
    if missing:
        raise BadRequest(f"QoS spec {call.row.id} has no spec with key {missing[0]}.")
    kept = {key: value for key, value in call.row.specs.items() if key not in call.body["keys"]}
    call.tx.update(QosSpecs, call.row.id, specs=kept)
    return Reply(202)


def delete(call: Call) -> Reply:
    force = call.query.get("force", ["false"])[-1].lower() in ("true", "1", "yes")
    if _associated(call) and not force:
        raise BadRequest(f"QoS Specs {call.row.id} is still associated with entities. Disassociate them first.")
    _disassociate_all(call)
    call.tx.delete(QosSpecs, call.row.id)
    return Reply(202)


def _associated(call: Call) -> list[Any]:
    table = table_of(VolumeType)
    return call.tx.rows(select(table).where(table.c.qos_specs_id == call.row.id))


def _disassociate_all(call: Call) -> None:
    call.tx.update_where(VolumeType, table_of(VolumeType).c.qos_specs_id == call.row.id, qos_specs_id=None)


def list_associations(call: Call) -> Reply:
    shown = [{"association_type": "volume_type", "name": row.name, "id": row.id} for row in _associated(call)]
    return Reply(200, {"qos_associations": shown})


def associate(call: Call) -> Reply:
    row = types.get_type(call.tx, _asked_type(call))
    if row.qos_specs_id not in (None, call.row.id):
        raise BadRequest(f"Type {row.id} is already associated with another qos specs: {row.qos_specs_id}.")
    call.tx.update(VolumeType, row.id, qos_specs_id=call.row.id)
    return Reply(202)


def disassociate(call: Call) -> Reply:
    row = types.get_type(call.tx, _asked_type(call))
    call.tx.update(VolumeType, row.id, qos_specs_id=None)
    return Reply(202)


def _asked_type(call: Call) -> str:
    asked = call.query.get("vol_type_id", [""])[-1]
    if not asked:
        raise BadRequest("Volume Type id must not be None. Say which by vol_type_id.")
    return asked


def disassociate_all(call: Call) -> Reply:
    _disassociate_all(call)
    return Reply(202)


_BODY = {"type": "object", "properties": {"qos_specs": _SPECS}, "required": ["qos_specs"]}
_KEYS = {
    "type": "object",
    "properties": {"keys": {"type": "array", "items": {"type": "string", "maxLength": 255}, "minItems": 1}},
    "required": ["keys"],
}


class QosSpecsResource(Resource, path="/qos-specs"):
    """Limits for volumes of some types."""

    row = QosSpecs
    what = "QoS specs"
    make = Op("POST", "", _RULE + "create", ADMIN, create, body=_BODY)
    index = Op("GET", "", _RULE + "get_all", ADMIN, list_specs)
    show = Op("GET", "/{id}", _RULE + "get", ADMIN, show)
    change = Op("PUT", "/{id}", _RULE + "update", ADMIN, update, body=_BODY)
    delete_keys = Op("PUT", "/{id}/delete_keys", _RULE + "update", ADMIN, delete_keys, body=_KEYS, status=202)
    remove = Op("DELETE", "/{id}", _RULE + "delete", ADMIN, delete, status=202)
    associations = Op("GET", "/{id}/associations", _RULE + "get_all", ADMIN, list_associations)
    associate = Op("GET", "/{id}/associate", _RULE + "update", ADMIN, associate, status=202, tx="write")
    disassociate = Op("GET", "/{id}/disassociate", _RULE + "update", ADMIN, disassociate, status=202, tx="write")
    disassociate_all = Op(
        "GET", "/{id}/disassociate_all", _RULE + "update", ADMIN, disassociate_all, status=202, tx="write"
    )
