# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/subnetpools`."""

from typing import Any

from sqlalchemy import or_

from altostratus.kernel.db import table_of
from altostratus.kernel.policy import MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Bool, Int, ListOf
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import standard
from altostratus.services.network.api.standard import Named
from altostratus.services.network.logic import subnetpools
from altostratus.services.network.models import SubnetPool
from altostratus.services.network.policies import POOL_READER


def visible_pools(call: Call, statement: Any, listing: bool) -> Any:
    if call.ctx.is_admin:
        return statement
    pool = table_of(SubnetPool).c
    return statement.where(or_(pool.project_id == call.ctx.project_id, pool.shared.is_(True)))


def create_pool(call: Call, body: dict[str, Any]) -> Any:
    """Make a subnet pool."""
    project_id = standard.owner_of(call, body)
    return subnetpools.create(call.tx, call.cloud, project_id, body)


def update_pool(call: Call) -> Any:
    """Change a subnet pool."""
    standard.check_revision(call)
    return subnetpools.update(call.tx, call.cloud, call.row, call.body)


def delete_pool(call: Call) -> Any:
    """Remove a subnet pool."""
    standard.check_revision(call)
    subnetpools.delete(call.tx, call.cloud, call.row)
    return Reply(204)


class SubnetPoolResource(Named, path="/subnetpools", one="subnetpool", many="subnetpools"):
    """Prefixes that subnets are cut from."""

    row = SubnetPool
    scope = visible_pools
    prefixes = ListOf({"type": "string", "maxLength": 64}, "cru", required=True)
    ip_version = Int(None, None, "rfs")
    min_prefixlen = Int(0, 128, "crufs", form=str)
    default_prefixlen = Int(0, 128, "crufs", form=str)
    max_prefixlen = Int(0, 128, "crufs", form=str)
    default_quota = Int(0, None, "crufs", nullable=True)
    shared = Bool("crfs", default=False, guard="c")
    is_default = Bool("crufs", default=False, guard="cu")
    address_scope_id = Int(None, None, "r")

    create = Create("create_subnetpool", MEMBER, standard.creating(create_pool), bulk=True)
    index = List("get_subnetpool", POOL_READER, standard.listing)
    show = Show("get_subnetpool", POOL_READER, standard.show)
    update = Update("update_subnetpool", MEMBER, update_pool)
    delete = Delete("delete_subnetpool", MEMBER, delete_pool)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "subnetpool", POOL_READER, MEMBER
    )
