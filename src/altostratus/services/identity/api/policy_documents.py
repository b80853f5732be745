# SPDX-License-Identifier: Apache-2.0
"""Policies that are kept for services. Upstream and this cloud only store them."""

from typing import Any

from altostratus.kernel import ids
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, Links, extra_members, list_reply
from altostratus.services.identity.api.targets import needed, row_target
from altostratus.services.identity.logic import policy_associations
from altostratus.services.identity.logic.changes import announce

_POLICY = row_target("policy", models.PolicyDocument)


def list_policies(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


def create_policy(call: Call) -> Any:
    policy_id = ids.new_hex_id()
    call.tx.insert(models.PolicyDocument, id=policy_id, **call.body, extra=extra_members(call))
    announce(call.tx, call.cloud, "identity.policy.created", policy_id)
    return call.tx.get(models.PolicyDocument, policy_id)


def update_policy(call: Call) -> Any:
    row, values = needed(call), dict(call.body)
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    if values:
        call.tx.update(models.PolicyDocument, row.id, **values)
    announce(call.tx, call.cloud, "identity.policy.updated", row.id)
    return call.tx.get(models.PolicyDocument, row.id)


def delete_policy(call: Call) -> None:
    row = needed(call)
    policy_associations.forget(call.tx, policy_id=row.id)
    call.tx.delete(models.PolicyDocument, row.id)
    announce(call.tx, call.cloud, "identity.policy.deleted", row.id)


class Policy(IdentityResource, path="/policies", one="policy", many="policies"):
    """A policy document of a service."""

    row = models.PolicyDocument
    id = Id("rs")
    type = Text(1, 255, "crufs", required=True)
    blob = Text(0, 1_000_000, "cru", required=True)
    links = Links("/policies")
    index = List("identity:list_policies", policies.ADMIN_OR_SYSTEM_READER, list_policies)
    create = Create("identity:create_policy", policies.ADMIN, create_policy)
    show = Show("identity:get_policy", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_POLICY)
    update = Update("identity:update_policy", policies.ADMIN, update_policy, method="PATCH", own_row=False,
                    target=_POLICY)  # fmt: skip
    delete = Delete("identity:delete_policy", policies.ADMIN, delete_policy, own_row=False, target=_POLICY)
