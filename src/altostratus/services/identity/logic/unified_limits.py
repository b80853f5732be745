# SPDX-License-Identifier: Apache-2.0
"""`UnifiedLimits`: what identity's limits mean to one service (`[quota] driver = "unified"`).

A limit for this cloud's region counts before one without region. In the strict model the domain's limit holds for all
its projects together. What is not registered keeps the service's own default.
"""

from typing import Any

from sqlalchemy import bindparam, func, or_, select

from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.quota import Ceiling
from altostratus.kernel.resource.service import Service
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic.limit_models import STRICT
from altostratus.services.identity.models import CatalogService, Limit, Project, RegisteredLimit

_limit, _registered = table_of(Limit).c, table_of(RegisteredLimit).c
_service, _project = table_of(CatalogService).c, table_of(Project).c
_services = select(_service.id).where(_service.type.in_(bindparam("types", expanding=True)))


def _here(column: Any) -> list[Any]:
    """Conditions for this cloud's region, or none. Sorted by region, what counts most comes last."""
    return [column.service_id.in_(_services), or_(column.region_id.is_(None), column.region_id == bindparam("region"))]


_DEFAULTS = (
    select(_registered.resource_name, _registered.default_limit)
    .where(*_here(_registered))
    .order_by(_registered.region_id.is_not(None), _registered.service_id)
)
_OWN = (
    select(_limit.project_id, _limit.resource_name, _limit.resource_limit)
    .where(*_here(_limit), or_(_limit.project_id == bindparam("project"), _limit.domain_id == bindparam("domain")))
    .order_by(_limit.region_id.is_not(None), _limit.service_id)
)
# a domain is a project too: then its own limits are those of the tree
_DOMAIN = select(func.coalesce(_project.domain_id, _project.id)).where(_project.id == bindparam("project"))
_INSIDE = select(_project.id).where(or_(_project.domain_id == bindparam("domain"), _project.id == bindparam("domain")))
_PROJECTS = select(_limit.project_id).where(*_here(_limit), _limit.project_id.is_not(None)).distinct()


class UnifiedLimits:
    """Limits of one service, from identity's rows; a `LimitSource`."""

    def __init__(self, service: Service, region: str, options: IdentityOptions) -> None:
        self._place = {"types": service.catalog_types, "region": region}
        self._strict = options.enforcement_model == STRICT

    def defaults(self, tx: Tx) -> dict[str, int]:
        return {row.resource_name: row.default_limit for row in tx.rows(_DEFAULTS, self._place)}

    def ceilings(self, tx: Tx, project_id: str) -> list[Ceiling]:
        domain_id = tx.scalar(_DOMAIN, {"project": project_id}) if self._strict else None
        defaults = self.defaults(tx)
        own, shared = dict(defaults), dict(defaults)
        for row in tx.rows(_OWN, {**self._place, "project": project_id, "domain": domain_id}):
            (shared if row.project_id is None else own)[row.resource_name] = row.resource_limit
        found = [Ceiling(project_id, (project_id,), own)]
        if domain_id is not None:
            inside = tx.scalars(_INSIDE, {"domain": domain_id})
            found.append(Ceiling(domain_id, inside, shared, f" for domain {domain_id} and all projects in it"))
        return found

    def projects(self, tx: Tx) -> list[str]:
        return sorted(tx.scalars(_PROJECTS, self._place))
