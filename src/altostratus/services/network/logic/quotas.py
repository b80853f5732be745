# SPDX-License-Identifier: Apache-2.0
"""What is under quota, how it is counted, and upstream's status (409) for too much."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import bindparam, func, select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Model, Tx, table_of
from altostratus.kernel.errors import OverQuota
from altostratus.kernel.quota import UNLIMITED, Countable
from altostratus.services.network.models import (
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)


def _counted(model: type[Model]) -> Callable[[Tx, Sequence[str]], int]:
    table = table_of(model)
    owned = table.c.project_id.in_(bindparam("projects", expanding=True))
    counted = select(func.count()).select_from(table).where(owned)

    def used(tx: Tx, projects: Sequence[str]) -> int:
        return int(tx.scalar(counted, {"projects": projects}))

    return used


QUOTAS = (
    Countable("network", 100, _counted(Network), "networks"),
    Countable("subnet", 100, _counted(Subnet), "subnets"),
    Countable("subnetpool", UNLIMITED, _counted(SubnetPool), "subnet pools"),
    Countable("port", 500, _counted(Port), "ports"),
    Countable("router", 10, _counted(Router), "routers"),
    Countable("floatingip", 50, _counted(FloatingIp), "floating IPs"),
    Countable("security_group", 10, _counted(SecurityGroup), "security groups"),
    Countable("security_group_rule", 100, _counted(SecurityGroupRule), "security group rules"),
    Countable("rbac_policy", 10, None, "RBAC policies"),
)


def demand(tx: Tx, cloud: Cloud, project_id: str, wanted: Mapping[str, int]) -> None:
    """Raises OverQuota (409) when the project may not have as many more."""
    try:
        cloud.quotas("network").demand(tx, project_id, wanted)
    except OverQuota as error:
        raise OverQuota(error.message, status=409, details=error.details) from None
