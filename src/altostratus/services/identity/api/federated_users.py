# SPDX-License-Identifier: Apache-2.0
"""What identity providers add to users: `federated` (who vouches for them), and groups for a time."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import MISSING, Field
from altostratus.services.identity import models
from altostratus.services.identity.logic.shadow_users import vouchers_of

_WORD = {"type": "string", "minLength": 1, "maxLength": 255}
_FILTERS = ("idp_id", "protocol_id", "unique_id")


def with_vouchers(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """For `load`: users with `federated`, in one query."""
    vouchers = vouchers_of(call.tx, [row.id for row in rows])
    return [{**row._mapping, "federated": vouchers.get(row.id)} for row in rows]


def Federated() -> Field:  # noqa: N802
    """`[{"idp_id", "protocols": [{"protocol_id", "unique_id"}]}]`; left out where there is none."""
    protocol = {
        "type": "object",
        "properties": {"protocol_id": _WORD, "unique_id": _WORD},
        "required": ["protocol_id", "unique_id"],
    }
    one = {
        "type": "object",
        "properties": {"idp_id": _WORD, "protocols": {"type": "array", "items": protocol, "minItems": 1}},
        "required": ["idp_id", "protocols"],
    }
    schema = {"type": "array", "items": one, "maxItems": 64}
    return Field(schema, "cru", source=lambda user, call: user["federated"] or MISSING)


def voucher_conditions(call: Call) -> list[Any]:
    """`idp_id=`, `protocol_id=` and `unique_id=` in lists of users."""
    federated = table_of(models.FederatedUser).c
    asked = [federated[name] == call.query[name][-1] for name in _FILTERS if name in call.query]
    return [table_of(models.User).c.id.in_(select(federated.user_id).where(*asked))] if asked else []


def expiring_groups(user_id: str) -> Any:
    """Select of ids of the groups that the user is in for a time."""
    member = table_of(models.ExpiringMember).c
    return select(member.group_id).where(member.user_id == user_id, member.expires_at > clock.now())


def with_ends(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """For `load`: a user's groups with `ends_at`, the time at which the membership ends, or None."""
    member = table_of(models.ExpiringMember).c
    statement = select(member.group_id, member.expires_at).where(
        member.user_id == call.params["user_id"], member.group_id.in_([row.id for row in rows])
    )
    ends = {row.group_id: row.expires_at for row in call.tx.rows(statement.order_by(member.expires_at))}
    return [{**row._mapping, "ends_at": ends.get(row.id)} for row in rows]
