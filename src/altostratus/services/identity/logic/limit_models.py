# SPDX-License-Identifier: Apache-2.0
"""How limits of a tree of projects hang together: not at all (flat), or below those of the domain (strict_two_level).

Statuses and sentences are upstream's (`keystone.limit.models`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.errors import Forbidden
from altostratus.kernel.quota import UNLIMITED
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.models import Limit, Project, RegisteredLimit

FLAT: Final = "flat"
STRICT: Final = "strict_two_level"
_WORDS: Final = {
    FLAT: "Limit enforcement and validation does not take project hierarchy into consideration.",
    STRICT: "This model requires project hierarchy never exceeds a depth of two",
}


def shown_model(options: IdentityOptions) -> dict[str, str]:
    return {"name": options.enforcement_model, "description": _WORDS[options.enforcement_model]}


def deepest_project(options: IdentityOptions) -> int:
    """Levels of projects below a domain."""
    return 1 if options.enforcement_model == STRICT else options.project_depth


def same_resource(model: type[Limit | RegisteredLimit], values: Mapping[str, Any]) -> list[Any]:
    """Conditions for the limits of the same resource of the same service in the same region."""
    column = table_of(model).c
    return [column[name] == values[name] for name in ("service_id", "region_id", "resource_name")]


def demand_fitting(tx: Tx, cloud: Cloud, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Raises Forbidden if a limit of `wanted` (all columns each) is above its domain's, or below one in its domain."""
    if cloud[IdentityOptions].enforcement_model == FLAT:
        return
    for values in wanted:
        if values["project_id"] is not None:
            _demand_below_domain(tx, values, wanted)
        else:
            _demand_above_projects(tx, values, wanted)


def _demand_below_domain(tx: Tx, values: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> None:
    domain_id = tx.get(Project, values["project_id"]).domain_id
    ceiling = _wanted_for_domain(domain_id, values, wanted)
    if ceiling is None:
        limit, registered = table_of(Limit).c, table_of(RegisteredLimit).c
        ceiling = tx.scalar(
            select(limit.resource_limit).where(limit.domain_id == domain_id, *same_resource(Limit, values))
        )
        if ceiling is None:
            ceiling = tx.scalar(select(registered.default_limit).where(*same_resource(RegisteredLimit, values)))
    if ceiling is not None and _size(values["resource_limit"]) > _size(ceiling):
        raise _unfitting(values, f"Its domain {domain_id} has {ceiling}: give less, or raise that first")


def _wanted_for_domain(domain_id: str, values: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> int | None:
    """What the same request gives to the domain."""
    for other in wanted:
        if other["domain_id"] == domain_id and _key(other) == _key(values):
            return int(other["resource_limit"])
    return None


def _demand_above_projects(tx: Tx, values: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> None:
    limit, project = table_of(Limit).c, table_of(Project).c
    inside = select(project.id).where(project.domain_id == values["domain_id"])
    stored = select(limit.id, limit.project_id, limit.resource_limit)
    changed = {other.get("id") for other in wanted}
    for row in tx.rows(stored.where(limit.project_id.in_(inside), *same_resource(Limit, values))):
        if row.id not in changed and _size(row.resource_limit) > _size(values["resource_limit"]):
            raise _unfitting(
                values, f"Project {row.project_id} in it has {row.resource_limit}: give more, or lower that first"
            )


def _key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return values["service_id"], values["region_id"], values["resource_name"]


def _size(limit: int) -> float:
    return float("inf") if limit == UNLIMITED else limit


def _unfitting(values: Mapping[str, Any], advice: str) -> Forbidden:
    level = "project_id" if values["project_id"] is not None else "domain_id"
    return Forbidden(
        f"Invalid resource limit: The resource limit ({level}: {values[level]}, resource_name:"
        f" {values['resource_name']}, resource_limit: {values['resource_limit']}, service_id: {values['service_id']},"
        f" region_id: {values['region_id']}) doesn't satisfy current hierarchy model. {advice}."
    )
