# SPDX-License-Identifier: Apache-2.0
"""May this account log in just now? Locked after too many wrong secrets, disabled after too long an absence."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, false, update

from altostratus.kernel import clock
from altostratus.kernel.clock import Timestamp
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.identity.config import PasswordRules
from altostratus.services.identity.models import Revision, User

_DAY_S = 86_400


def is_locked(rules: PasswordRules, user: Row[Any]) -> bool:
    """`lockout_failure_attempts` wrong secrets in a row, the last one within `lockout_duration`."""
    most = rules.lockout_failure_attempts
    if not most or user.options.get("ignore_lockout_failure_attempts") or user.failed_auth_count < most:
        return False
    return not rules.lockout_duration or user.failed_auth_at > clock.after(-rules.lockout_duration)


def is_inactive(rules: PasswordRules, user: Mapping[Any, Any]) -> bool:
    """No login for `disable_user_account_days_inactive` days: such a user counts as disabled.

    user: columns of a user by name
    """
    most = rules.disable_user_account_days_inactive
    if not most or user["options"].get("ignore_user_inactivity"):
        return False
    return bool((user["last_active_on"] or day_of(user["created_at"])) <= day_of(clock.after(-most * _DAY_S)))


def count_failure(tx: Tx, rules: PasswordRules, user_id: str | None) -> None:
    """One wrong secret more. Those that come while the account is locked are not counted: the lock ends.

    For a locked account, and for a name that nobody has, as much is written: how long it takes tells nothing.
    """
    row = None if user_id is None else tx.find(User, user_id)
    if row is None or is_locked(rules, row):
        revision = table_of(Revision)
        tx.execute(update(revision).values(value=revision.c.value))
        return
    user = table_of(User)
    # asked of the database: another failure may have locked the account since the row was read
    was_locked = user.c.failed_auth_count >= rules.lockout_failure_attempts
    has_ended = user.c.failed_auth_at <= clock.after(-rules.lockout_duration) if rules.lockout_duration else false()
    count = case((was_locked, 1), else_=user.c.failed_auth_count + 1)
    changed = update(user).where(user.c.id == row.id, ~was_locked | has_ended)
    tx.execute(changed.values(failed_auth_count=count, failed_auth_at=clock.now()))


def note_login(tx: Tx, user_id: str) -> None:
    """The count of failures ends, and today is a day on which the user was active."""
    tx.update(User, user_id, last_active_on=day_of(clock.now()), **UNLOCKED)


def is_noted(user: Row[Any]) -> bool:
    """Would `note_login` change nothing?"""
    return not user.failed_auth_count and user.last_active_on == day_of(clock.now())


UNLOCKED: dict[str, Any] = {"failed_auth_count": 0, "failed_auth_at": None}


def enabled_again() -> dict[str, Any]:
    """Columns of a user whom an administrator enables: neither locked nor inactive."""
    return {**UNLOCKED, "last_active_on": day_of(clock.now())}


def day_of(moment: Timestamp) -> str:
    return moment[:10]
