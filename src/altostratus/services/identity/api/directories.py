# SPDX-License-Identifier: Apache-2.0
"""Users and groups of domains that have a directory: what their operations do besides.

Operations that use this have `tx="none"`: the directory is asked before a transaction is opened.
"""

from typing import Any

from sqlalchemy import or_

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.identity import models
from altostratus.services.identity.api.declaring import extra_members, list_reply
from altostratus.services.identity.api.targets import needed
from altostratus.services.identity.directory import changing, looking
from altostratus.services.identity.directory.contract import Condition, EntityKind
from altostratus.services.identity.directory.directories import Directories
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import mirror

_MODELS: dict[EntityKind, type[models.User | models.Group]] = {"user": models.User, "group": models.Group}
_SEARCHED = frozenset({"name", "description"})
_HOW = {"": "equals"} | {way: way.removeprefix("i") for way in (
    "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith",
)}  # fmt: skip


def list_all(call: Call, kind: EntityKind, statement: Any) -> Reply:
    """The rows of `statement`; of the domain that is asked about, what its directory shows now.

    Pages after the first one go by what the first one has found.
    """
    table, domain_id = table_of(_MODELS[kind]), _asked_domain(call)
    statement = statement.where(table.c.id.not_in(mirror.gone_ids(kind)))
    shown = None
    if domain_id and "marker" not in call.query and Directories.of(call.cloud).has(domain_id):
        shown = looking.look_through(call.cloud, domain_id, kind, _conditions(call))
        copies, seen = mirror.mirrored_ids(kind, domain_id), mirror.shown_since(kind, domain_id, shown.moment)
        statement = statement.where(or_(table.c.id.not_in(copies), table.c.id.in_(seen)))
    with call.cloud.db.read() as call.tx:
        reply = list_reply(call, statement)
    if shown is not None and not shown.whole:
        reply.body["truncated"] = True
    return reply


def _asked_domain(call: Call) -> str | None:
    asked = call.query.get("domain_id", [""])[-1] or call.ctx.domain_id
    # whoever is bound to a domain asks about no other
    return asked if call.ctx.domain_id in (None, asked) else None


def _conditions(call: Call) -> list[Condition]:
    """What the directory can search for itself."""
    found = []
    for name, texts in call.query.items():
        field, _, way = name.partition("__")
        if field in _SEARCHED and way in _HOW and len(texts) == 1:
            found.append(Condition(field, _HOW[way], texts[0]))
    return found


def show(call: Call) -> Reply:
    """A user or group as it is now. Raises NotFound, also for what its directory does not have any more."""
    kind, known = _kind(call), needed(call)
    if not looking.refresh(call.cloud, kind, known.id):
        raise not_found(kind, known.id)
    return reply_with(call, 200, known.id)


def reply_with(call: Call, status: int, identifier: str) -> Reply:
    kind = _kind(call)
    with call.cloud.db.read() as call.tx:
        row = call.tx.find(_MODELS[kind], identifier)
        if row is None:
            raise not_found(kind, identifier)
        return Reply(status, {kind: call.render([row])[0]})


def create(call: Call, domain_id: str) -> Reply | None:
    """None if the domain's users are our own."""
    if not Directories.of(call.cloud).has(domain_id):
        return None
    values = _values(call) | {"domain_id": domain_id}
    made = changing.create(call.cloud, domain_id, _kind(call), values, call.body.get("password"))
    return reply_with(call, 201, made)


def update(call: Call) -> Reply | None:
    """None if it is no directory's."""
    mapping = find_mapping(call)
    if mapping is None:
        return None
    changing.update(call.cloud, mapping, _values(call), call.body.get("password"))
    return reply_with(call, 200, mapping.public_id)


def delete(call: Call) -> bool:
    """False if it is no directory's."""
    mapping = find_mapping(call)
    if mapping is None:
        return False
    changing.delete(call.cloud, mapping)
    return True


def change_password(call: Call, user_id: str, password: str) -> bool:
    """In the directory, whose rules hold. False if the user is no directory's."""
    with call.cloud.db.read() as tx:
        mapping = mirror.find_mapping(tx, "user", user_id)
    if mapping is None:
        return False
    changing.update(call.cloud, mapping, {}, password)
    return True


def find_mapping(call: Call) -> Any:
    with call.cloud.db.read() as tx:
        return mirror.find_mapping(tx, _kind(call), needed(call).id)


def _kind(call: Call) -> EntityKind:
    return "user" if call.resource.row is models.User else "group"


def _values(call: Call) -> dict[str, Any]:
    """What a directory may take. Raises BadRequest for what has no place there."""
    values = {name: value for name, value in call.body.items() if name not in ("password", "options", "federated")}
    if call.body.get("federated"):
        raise BadRequest("Users of a directory are vouched for by it alone; leave federated out.")
    if call.body.get("options"):
        raise BadRequest("Users of a directory have no options; its own rules hold for them.")
    extra = extra_members(call)
    unknown = sorted(set(extra) - {"email"})
    if unknown:
        raise BadRequest(f"A user or group of a directory has no {', '.join(unknown)}. Leave it out.")
    return values | extra
