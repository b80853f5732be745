# SPDX-License-Identifier: Apache-2.0
"""Users."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Object, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api import directories
from altostratus.services.identity.api.declaring import (
    ON_OR_UNSET,
    Description,
    Flag,
    IdentityResource,
    Links,
    Name,
    Options,
    extra_members,
    list_reply,
    merged_options,
)
from altostratus.services.identity.api.federated_users import Federated, voucher_conditions, with_vouchers
from altostratus.services.identity.api.targets import (
    body_target,
    domain_of_body,
    list_target,
    needed,
    row_target,
)
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory import changing, looking
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import accounts, password_rules, people
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.logic.shadow_users import set_vouchers
from altostratus.services.identity.tokens import passwords
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED
from altostratus.services.identity.tokens.proof import prove_password

_ERRAND = row_target("user", models.User)
_SECRET = {"type": "string", "minLength": 1, "maxLength": passwords.LONGEST}

_METHOD = {"type": "string", "maxLength": 64}


def _is_enabled(user: Any, call: Call) -> bool:
    """Users who have not logged in for too long are shown as what they are: disabled."""
    return bool(user["enabled"]) and not accounts.is_inactive(call.cloud[IdentityOptions], user)


class UserFields(IdentityResource, one="user", many="users"):
    """What a user looks like, wherever users are listed."""

    row = models.User
    load = with_vouchers
    id = Id("rs")
    name = Name(required=True)
    domain_id = Text(1, 64, "crufs")
    enabled = Flag("cruf", default=True, source=_is_enabled)
    description = Description()
    default_project_id = Text(0, 64, "cru", nullable=True)
    password = Text(1, passwords.LONGEST, "cu", nullable=True)
    options = Options(
        ignore_change_password_upon_first_use=ON_OR_UNSET,
        ignore_password_expiry=ON_OR_UNSET,
        ignore_lockout_failure_attempts=ON_OR_UNSET,
        ignore_user_inactivity=ON_OR_UNSET,
        lock_password=ON_OR_UNSET,
        multi_factor_auth_enabled=ON_OR_UNSET,
        multi_factor_auth_rules={
            "type": ["array", "null"],
            "items": {"type": "array", "items": _METHOD, "minItems": 1, "maxItems": 16, "uniqueItems": True},
            "maxItems": 64,
            "uniqueItems": True,
        },
    )
    password_expires_at = Object("r", form=clock.iso_micro_z)
    federated = Federated()
    links = Links("/users")


def list_users(call: Call) -> Reply:
    conditions = expiry_conditions(call) + voucher_conditions(call)
    return directories.list_all(call, "user", select(table_of(models.User)).where(*conditions))


def expiry_conditions(call: Call) -> list[Any]:
    """`password_expires_at=lt:2026-01-31T12:00:00Z`. Raises BadRequest."""
    column = table_of(models.User).c.password_expires_at
    comparisons = {
        "lt": column.__lt__, "lte": column.__le__, "gt": column.__gt__, "gte": column.__ge__,
        "eq": column.__eq__, "neq": column.__ne__,
    }  # fmt: skip
    found = []
    for text in call.query.get("password_expires_at", []):
        name, _, moment = text.partition(":")
        try:
            found.append(comparisons[name](clock.to_timestamp(clock.parse(moment))))
        except (KeyError, ValueError):
            raise BadRequest(
                f"password_expires_at={text!r} is not understood; write lt, lte, gt, gte, eq or neq, a colon and a"
                " time: lt:2026-01-31T12:00:00Z."
            ) from None
    return found


def create_user(call: Call) -> Reply:
    domain_id = domain_of_body(call)
    foreign = directories.create(call, domain_id)
    if foreign is not None:
        return foreign
    values = _columns(call) | {"domain_id": domain_id}
    values["options"] = merged_options({}, values["options"])
    with call.cloud.db.write() as call.tx:
        row = people.create_user(call.tx, call.cloud, values)
        set_vouchers(call.tx, row.id, call.body.get("federated", []))
        return Reply(201, {"user": call.render([row])[0]})


def update_user(call: Call) -> Reply:
    known = needed(call)
    foreign = directories.update(call)
    if foreign is not None:
        return foreign
    values = _columns(call)
    with call.cloud.db.write() as call.tx:
        row = call.tx.find(models.User, known.id)
        if row is None:
            raise not_found("user", known.id)
        if "extra" in values:
            values["extra"] = row.extra | values["extra"]
        if "options" in values:
            values["options"] = merged_options(row.options, values["options"])
        if "federated" in call.body:
            set_vouchers(call.tx, row.id, call.body["federated"])
        row = people.update_user(call.tx, call.cloud, row, values)
        return Reply(200, {"user": call.render([row])[0]})


def _columns(call: Call) -> dict[str, Any]:
    """The body as columns; the password is hashed here, outside any transaction."""
    values = {name: value for name, value in call.body.items() if name not in ("password", "federated")}
    if "password" in call.body:
        password = call.body["password"]
        if password is not None:
            password_rules.demand_strength(call.cloud[IdentityOptions], password)
        values["password_hash"] = None if password is None else passwords.hash_password(password)
    extra = extra_members(call)
    if extra or call.op.kind == "create":
        values["extra"] = extra
    return values


def delete_user(call: Call) -> None:
    known = needed(call)
    if directories.delete(call):
        return
    with call.cloud.db.write() as tx:
        if tx.find(models.User, known.id) is None:
            raise not_found("user", known.id)
        people.delete_user(tx, call.cloud, known.id)


def change_password(call: Call) -> Reply:
    """Everybody changes the own password with the old one; no token is asked."""
    given, user_id = call.body["user"], call.params["id"]
    rules = call.cloud[IdentityOptions]
    try:
        user = prove_password(call.cloud, {"id": user_id}, given["original_password"])
    except LoginError as error:
        call.logger.info("a change of a password was refused: %s", error)
        raise Unauthorized(UNAUTHORIZED) from None
    if directories.change_password(call, user.id, given["password"]):
        return Reply(204)
    password_rules.demand_strength(rules, given["password"])
    password_rules.demand_own_choice(rules, user)
    with call.cloud.db.read() as tx:
        remembered = password_rules.remembered_hashes(tx, rules, user)
    if any(passwords.is_password(given["password"], known) for known in remembered):
        raise password_rules.repeated(rules)
    new_hash = passwords.hash_password(given["password"])
    with call.cloud.db.write() as tx:
        row = tx.find(models.User, user_id)
        if row is None or row.password_hash != user.password_hash:
            raise Unauthorized(UNAUTHORIZED)
        people.change_own_password(tx, call.cloud, row, new_hash)
    return Reply(204)


class User(UserFields, path="/users"):
    """A user."""

    index = List("identity:list_users", policies.LIST_READER, list_users, tx="none",
                 target=list_target(by_filter=True))  # fmt: skip
    create = Create("identity:create_user", policies.manager_of("target.user.domain_id"), create_user,
                    tx="none", target=body_target("user"))  # fmt: skip
    show = Show("identity:get_user", policies.USER_READER, directories.show, tx="none", own_row=False,
                target=_ERRAND)  # fmt: skip
    update = Update("identity:update_user", policies.manager_of("target.user.domain_id"), update_user,
                    method="PATCH", tx="none", own_row=False, target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_user", policies.manager_of("target.user.domain_id"), delete_user,
                    tx="none", own_row=False, target=_ERRAND)  # fmt: skip
    password_change = Op(
        "POST", "/{id}/password", None, policies.ANYBODY, change_password, status=204, tx="none", public=True,
        own_row=False,
        body={
            "type": "object",
            "properties": {
                "user": {
                    "type": "object",
                    "properties": {"original_password": _SECRET, "password": _SECRET},
                    "required": ["original_password", "password"],
                }
            },
            "required": ["user"],
        },
    )  # fmt: skip


def list_group_users(call: Call) -> Reply:
    group_id = needed_group(call)
    if not looking.refresh_members(call.cloud, group_id):
        raise not_found("group", group_id)
    user, member = table_of(models.User), table_of(models.GroupMember).c
    statement = select(user).where(user.c.id.in_(select(member.user_id).where(member.group_id == group_id)))
    with call.cloud.db.read() as call.tx:
        return list_reply(call, statement.where(*expiry_conditions(call)))


def needed_group(call: Call) -> str:
    if call.row is None:
        raise not_found("group", call.params["group_id"])
    return str(call.row.id)


def _membership_target(call: Call) -> dict[str, Any]:
    user = row_target("user", models.User, "user_id")(call)
    return user | row_target("group", models.Group, "group_id")(call)


def _needed_pair(call: Call) -> tuple[str, str]:
    group_id, user_id = needed_group(call), call.params["user_id"]
    with call.cloud.db.read() as tx:
        if tx.find(models.User, user_id) is None:
            raise not_found("user", user_id)
    return group_id, user_id


def check_membership(call: Call) -> None:
    group_id, user_id = _needed_pair(call)
    if not looking.refresh(call.cloud, "user", user_id):
        raise not_found("user", user_id)
    with call.cloud.db.read() as tx:
        if tx.find(models.GroupMember, group_id, user_id) is None:
            raise not_found(f"user {user_id} in group", group_id)


def add_membership(call: Call) -> None:
    group_id, user_id = _needed_pair(call)
    if not changing.change_member(call.cloud, group_id, user_id, add=True):
        with call.cloud.db.write() as tx:
            people.add_member(tx, call.cloud, group_id, user_id)


def remove_membership(call: Call) -> None:
    group_id, user_id = _needed_pair(call)
    if not changing.change_member(call.cloud, group_id, user_id, add=False):
        with call.cloud.db.write() as tx:
            people.remove_member(tx, call.cloud, group_id, user_id)


class GroupUser(UserFields, path="/groups/{group_id}/users"):
    """A user as a member of a group."""

    index = List("identity:list_users_in_group", policies.reader_of("target.group.domain_id"), list_group_users,
                 tx="none", target=row_target("group", models.Group, "group_id"))  # fmt: skip
    check = Op("GET", "/{user_id}", "identity:check_user_in_group", policies.MEMBERSHIP_READER, check_membership,
               status=204, tx="none", target=_membership_target)  # fmt: skip
    add = Op("PUT", "/{user_id}", "identity:add_user_to_group", policies.MEMBERSHIP_MANAGER, add_membership,
             status=204, tx="none", target=_membership_target)  # fmt: skip
    remove = Op("DELETE", "/{user_id}", "identity:remove_user_from_group", policies.MEMBERSHIP_MANAGER,
                remove_membership, status=204, tx="none", target=_membership_target)  # fmt: skip
