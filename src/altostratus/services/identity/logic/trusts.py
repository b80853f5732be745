# SPDX-License-Identifier: Apache-2.0
"""Trusts: who may make which, chains of them, and counting their uses. The rules are upstream's `trust.core`."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import literal, or_, select, update

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.effective import effective_role_ids
from altostratus.services.identity.models import Project, Role, Trust, User


def create_trust(tx: Tx, cloud: Cloud, values: dict[str, Any], *, redelegable: bool, parent_id: str | None) -> Row[Any]:
    """`values`: columns. `parent_id` is the trust that the trustor's own token comes from, if it comes from one.

    Raises NotFound (trustee, project, role, parent), BadRequest, Forbidden, Conflict.
    """
    if tx.find(User, values["trustee_user_id"]) is None:
        raise not_found("user", values["trustee_user_id"])
    _demand_own_roles(tx, values)
    most = cloud[IdentityOptions].trust_redelegations
    asked = values.pop("redelegation_count", None)
    redelegable = redelegable and asked != 0
    _demand_countable(values, asked, most, redelegable)
    left = most
    if parent_id is not None:
        chain = chain_of(tx, parent_id)
        if not chain:
            raise not_found("trust", parent_id)
        left = chain[0].redelegation_count - 1
        if redelegable and asked and asked != left:
            raise Forbidden(
                'Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is advised.'
            )
        values = values | {"redelegated_trust_id": parent_id, "expires_at": values["expires_at"] or chain[0].expires_at}
        for above in chain:
            _demand_no_more_than(above, values, most)
    values["redelegation_count"] = (asked or left) if redelegable else 0
    _demand_new(tx, values)
    trust_id = ids.new_hex_id()
    tx.insert(Trust, id=trust_id, **values)
    announce(tx, cloud, "identity.OS-TRUST:trust.created", trust_id)
    return tx.get(Trust, trust_id)


def find_trust(tx: Tx, trust_id: str) -> Row[Any] | None:
    """A trust that gives tokens still: neither it nor one it was made with has ended, and uses are left."""
    chain = chain_of(tx, trust_id)
    return chain[0] if chain and chain[0].remaining_uses != 0 else None


def chain_of(tx: Tx, trust_id: str) -> list[Row[Any]]:
    """The trust, the one that it was made with, and so on to the first; empty if there is none, or one has ended."""
    trust = table_of(Trust)
    chain = select(trust, literal(0).label("step")).where(trust.c.id == trust_id).cte("chain", recursive=True)
    above = select(trust, chain.c.step + 1).join(chain, trust.c.id == chain.c.redelegated_trust_id)
    chain = chain.union_all(above)
    rows = tx.rows(select(chain).order_by(chain.c.step))
    moment = clock.now()
    return [] if any(trust.expires_at is not None and trust.expires_at <= moment for trust in rows) else rows


def delete_trust(tx: Tx, cloud: Cloud, trust_id: str) -> None:
    """Those made with it go too."""
    trust = table_of(Trust).c
    below = select(trust.id).where(trust.id == trust_id).cte("below", recursive=True)
    below = below.union(select(trust.id).join(below, trust.redelegated_trust_id == below.c.id))
    gone = tx.scalars(select(below.c.id))
    tx.delete(Trust, trust_id)
    for each in gone:
        announce(tx, cloud, "identity.OS-TRUST:trust.deleted", each)


def forget_users(tx: Tx, user_ids: Any) -> None:
    """Trusts of users (ids, or a select of ids) who leave, and those made with them."""
    trust = table_of(Trust).c
    tx.delete_where(Trust, or_(trust.trustor_user_id.in_(user_ids), trust.trustee_user_id.in_(user_ids)))


def use(tx: Tx, trust_id: str) -> None:
    """Count one use; of two at once only one gets the last. Raises Forbidden.

    No token means anything else by it, so this is no change to announce.
    """
    trust = table_of(Trust)
    left = trust.c.remaining_uses
    counted = tx.execute(update(trust).where(trust.c.id == trust_id, left > 0).values(remaining_uses=left - 1))
    if counted.rowcount == 0:
        raise Forbidden(f"There are no remaining uses for trust {trust_id}. Ask the trustor for a new one.")


def role_ids_of(tx: Tx, named: Iterable[dict[str, str]]) -> list[str]:
    """Ids of roles given as `{"id"}` or `{"name"}`. Raises NotFound, BadRequest (a name of several roles)."""
    role = table_of(Role).c
    found: list[str] = []
    for one in named:
        if "id" in one:
            found.append(one["id"])
            continue
        known = tx.scalars(select(role.id).where(role.name == one["name"]).limit(2))
        if not known:
            raise not_found("role", one["name"])
        if len(known) > 1:
            raise BadRequest(f"Several roles are called {one['name']}; give the id of the one that you mean.")
        found += known
    return list(dict.fromkeys(found))


def lost_roles(tx: Tx, chain: list[Row[Any]]) -> set[str]:
    """Ids of roles that the first trust of the chain passes on, though one of the trustors has lost them."""
    wanted = set(chain[0].role_ids)
    project_id = chain[0].project_id
    trustors = {trust.trustor_user_id for trust in chain}
    return {role_id for user_id in trustors for role_id in wanted - effective_role_ids(tx, user_id, project_id)}


# rules


def _demand_own_roles(tx: Tx, values: dict[str, Any]) -> None:
    project_id = values["project_id"]
    if project_id is None:
        if values["role_ids"]:
            raise not_found("role", values["role_ids"][0])
        return
    if tx.find(Project, project_id) is None:
        raise not_found("project", project_id)
    own = effective_role_ids(tx, values["trustor_user_id"], project_id)
    for role_id in values["role_ids"]:
        if role_id not in own:
            raise not_found("role", role_id)


def _demand_countable(values: dict[str, Any], asked: int | None, most: int, redelegable: bool) -> None:
    if not redelegable:
        return
    if asked and asked > most:
        raise Forbidden(f"Requested redelegation depth of {asked} is greater than allowed {most}.")
    if values.get("remaining_uses") is not None:
        raise BadRequest("remaining_uses must not be set if redelegation is allowed.")


def _demand_no_more_than(above: Row[Any], values: dict[str, Any], most: int) -> None:
    """A trust made with another one gives nothing that the other one does not give. Raises Forbidden."""
    if not 0 < above.redelegation_count <= most:
        raise Forbidden(
            f"Remaining redelegation depth of {above.redelegation_count} out of allowed range of [0..{most}]."
            f" Trust {above.id} cannot be passed on."
        )
    if values.get("remaining_uses") is not None:
        raise Forbidden(
            f'Field "remaining_uses" is set to {values["remaining_uses"]} while it must not be set in order to'
            " redelegate a trust."
        )
    if values["project_id"] != above.project_id:
        raise Forbidden(f"Trust {above.id} is for project {above.project_id}; it cannot be passed on for another one.")
    if above.expires_at is not None and values["expires_at"] > above.expires_at:
        raise Forbidden("Requested expiration time is more than redelegated trust can provide.")
    if not set(values["role_ids"]) <= set(above.role_ids):
        raise Forbidden("Some of requested roles are not in redelegated trust.")
    if values["impersonation"] and not above.impersonation:
        raise Forbidden(
            "Impersonation is not allowed because redelegated trust does not specify impersonation."
            f" Redelegated trust id: {above.id}"
        )


def _demand_new(tx: Tx, values: dict[str, Any]) -> None:
    """The same trust twice is refused; without an end, as upstream's database has it, it is not the same."""
    names = ("trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at")
    if values["expires_at"] is None or values["project_id"] is None:
        return
    if tx.find(Trust, **{name: values[name] for name in names}) is not None:
        raise Conflict("Conflict occurred attempting to store trust - Duplicate entry: the same trust exists already.")
