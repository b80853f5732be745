# SPDX-License-Identifier: Apache-2.0
"""Targets of policy rules: what a request is about, under upstream's flat names.

A thing that does not exist gives an empty target, so whoever may not see such things learns nothing (403);
who may gets the 404 from the operation itself. Values that are None are left out: a rule that names them fails.
"""

from collections.abc import Callable
from typing import Any

from altostratus.kernel.db import Model
from altostratus.kernel.resource.call import Call
from altostratus.services.identity.errors import not_found

_HIDDEN = frozenset({"password_hash", "extra", "options", "tokens_from", "secret_hash", "encrypted_blob"})
Target = dict[str, Any]


def flat(what: str, row: Any) -> Target:
    """`{"target.<what>.<column>": value}` of a row (or nothing)."""
    if row is None:
        return {}
    members = row._mapping if hasattr(row, "_mapping") else row
    return {
        f"target.{what}.{name}": value for name, value in members.items() if value is not None and name not in _HIDDEN
    }


def row_target(what: str, model: type[Model], param: str = "id") -> Callable[[Call], Target]:
    """The row that the path names; it is kept in `call.row` for the operation."""

    def target(call: Call) -> Target:
        call.row = call.tx.find(model, call.params[param])
        return flat(what, call.row) | dict(call.params)

    return target


def existing_target(what: str, model: type[Model], param: str = "id") -> Callable[[Call], Target]:
    """Like `row_target`, for things whose absence is no secret: everybody gets the 404."""
    find = row_target(what, model, param)

    def target(call: Call) -> Target:
        found = find(call)
        if call.row is None:
            raise not_found(what, call.params[param])
        return found

    return target


def body_target(what: str) -> Callable[[Call], Target]:
    """What is about to be made. Managers of a domain must name it, as upstream has it: nothing is filled in here."""

    def target(call: Call) -> Target:
        return flat(what, {name: value for name, value in call.body.items() if isinstance(value, str)})

    return target


def domain_of_body(call: Call) -> str:
    """The domain something new belongs to: the one given, else the token's, else the default one."""
    return call.body.get("domain_id") or call.ctx.domain_id or "default"


def list_target(name: str = "target.domain_id", *, by_filter: bool = False) -> Callable[[Call], Target]:
    """A list is about the domain that a domain's token asks for, which is its own unless it names another.

    `by_filter`: of other tokens too about the one domain that the filter `domain_id` leaves. "None" is no domain:
    it would look to a rule like the domain of a token that has none.
    """

    def target(call: Call) -> Target:
        asked = call.query.get("domain_id", [])
        if call.ctx.domain_id:
            return {name: asked[-1] if asked and asked[-1] else call.ctx.domain_id}
        return {name: asked[0]} if by_filter and len(asked) == 1 and asked[0] not in ("", "None") else {}

    return target


def path_target(call: Call) -> Target:
    """Just the names in the path (`user_id`)."""
    return dict(call.params)


def needed(call: Call, param: str = "id") -> Any:
    """The row that the target found. Raises NotFound."""
    if call.row is None:
        raise not_found(call.resource.what, call.params[param])
    return call.row
