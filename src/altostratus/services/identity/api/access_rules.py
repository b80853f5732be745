# SPDX-License-Identifier: Apache-2.0
"""Access rules of a user. They are made with application credentials, and kept for the next ones."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Text
from altostratus.kernel.resource.operations import Delete, List, Reply, Show
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import IdentityResource, Links, list_reply
from altostratus.services.identity.api.delegation import demand_own_credentials
from altostratus.services.identity.api.targets import row_target
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import access_rules

_OWNER = row_target("user", models.User, "user_id")


def list_access_rules(call: Call) -> Reply:
    demand_own_credentials(call)
    rule = table_of(models.AccessRule)
    return list_reply(call, select(rule).where(rule.c.user_id == call.params["user_id"]), confined_by=None)


def show_access_rule(call: Call) -> Any:
    demand_own_credentials(call)
    return _find(call)


def delete_access_rule(call: Call) -> None:
    demand_own_credentials(call)
    access_rules.delete_rule(call.tx, call.cloud, _find(call))


def _find(call: Call) -> Any:
    """The rule of the user in the path; another user's is as good as none."""
    row = call.tx.find(models.AccessRule, call.params["id"], user_id=call.params["user_id"])
    if row is None:
        raise not_found("access rule", call.params["id"])
    return row


class AccessRule(IdentityResource, path="/users/{user_id}/access_rules", one="access_rule", many="access_rules"):
    """Requests that an application credential may make."""

    unknown = "ignore"
    row = models.AccessRule
    id = Id("rs")
    service = Text(1, 255, "rfs")
    method = Text(1, 255, "rfs")
    path_pattern = Text(1, 255, "rfs", wire="path", source="path")
    links = Links("/access_rules")
    index = List("identity:list_access_rules", policies.ACCESS_RULE_READER, list_access_rules, target=_OWNER)
    show = Show("identity:get_access_rule", policies.ACCESS_RULE_READER, show_access_rule, own_row=False,
                target=_OWNER)  # fmt: skip
    delete = Delete("identity:delete_access_rule", policies.ACCESS_RULE_OWNER, delete_access_rule, own_row=False,
                    target=_OWNER)  # fmt: skip
