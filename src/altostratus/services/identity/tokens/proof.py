# SPDX-License-Identifier: Apache-2.0
"""Whose secret is this? Asked in one way for passwords and passcodes, so that every wrong one counts.

A locked account, a disabled one and one that nobody has look the same to who asks: the same words, the same work.
"""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory import looking
from altostratus.services.identity.logic import accounts, login
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import User
from altostratus.services.identity.tokens import passwords


def prove_password(cloud: Cloud, named: dict[str, Any], password: str) -> Row[Any]:
    """The user of `{"id"}` or `{"name", "domain"}`, whose password this is. Raises LoginError, BadRequest.

    Of a directory's user, the directory says so. Raises Unavailable if it does not answer.
    """
    foreign = looking.prove_password(cloud, named, password)
    if foreign is not None:
        return settle(cloud, foreign.user, right=foreign.right, what="password")
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, named)
    right = passwords.is_password(password, None if user is None else user.password_hash)
    proven = settle(cloud, user, right=right, what="password")
    if user is None or proven.password_hash != user.password_hash:
        raise LoginError(f"the password of user {proven.id} was changed meanwhile")
    return proven


def settle(cloud: Cloud, user: Row[Any] | None, *, right: bool, what: str) -> Row[Any]:
    """The user as it is now if the secret was right and the account is open; else counts a failure.

    It is read again: as many failures as lock the account may have come while the secret was compared.
    """
    rules = cloud[IdentityOptions]
    if user is not None and right and not accounts.is_locked(rules, user):
        with cloud.db.read() as tx:
            now = tx.find(User, user.id)
        if now is not None and now.enabled and not _is_shut(cloud, now):
            return now
        raise LoginError(f"the account of user {user.id} is locked, inactive, disabled or gone")
    if rules.lockout_failure_attempts:
        with cloud.db.write() as tx:
            accounts.count_failure(tx, rules, None if user is None else user.id)
    raise LoginError(f"no such user, wrong {what}, or a locked account: {'?' if user is None else user.id}")


def _is_shut(cloud: Cloud, user: Row[Any]) -> bool:
    rules = cloud[IdentityOptions]
    return accounts.is_locked(rules, user) or accounts.is_inactive(rules, user._mapping)
