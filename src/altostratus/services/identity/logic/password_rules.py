# SPDX-License-Identifier: Apache-2.0
"""Which passwords are taken, for how long they are good, and which ones are remembered.

Upstream's meaning of `[security_compliance]`; hashes are compared by the caller, outside transactions.
"""

import hmac
import re
from base64 import b64encode
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.identity.config import PasswordRules
from altostratus.services.identity.models import FormerPassword

_DAY_S = 86_400


def demand_strength(rules: PasswordRules, password: str) -> None:
    """Raises BadRequest, in the operator's words, unless the password matches `password_regex`."""
    if rules.password_regex and re.match(rules.password_regex, password) is None:
        words = rules.password_regex_description or f"it must match {rules.password_regex}"
        raise BadRequest(f"The password does not match the requirements: {words}.")


def demand_own_choice(rules: PasswordRules, user: Row[Any]) -> None:
    """May the user choose another password now? Raises BadRequest."""
    if user.options.get("lock_password"):
        raise BadRequest(
            "You cannot change your password at this time due to password policy disallowing password changes."
            " Please contact your administrator to reset your password."
        )
    if not user.password_by_self or user.password_created_at is None:
        return
    days = rules.minimum_password_age
    left_s = clock.seconds_between(clock.now(), clock.plus(user.password_created_at, days * _DAY_S))
    if left_s > 0:
        raise BadRequest(
            "You cannot change your password at this time due to the minimum password age. Once you change your"
            f" password, it must be used for {days} day(s) before it can be changed. Please try again in"
            f" {int(left_s // _DAY_S)} day(s) or contact your administrator to reset your password."
        )


def clue_to(rules: PasswordRules, wrong: str) -> str | None:
    """A piece of the keyed hash of a wrong password: who tries one password for ever is not who tries many.

    None unless the operator wants it told.
    """
    if not rules.report_invalid_password_hash:
        return None
    made = hmac.digest(
        rules.invalid_password_hash_secret_key.encode(), wrong.encode(), rules.invalid_password_hash_function
    )
    text = b64encode(made).decode().rstrip("=")
    return text[: rules.invalid_password_hash_max_chars or None]


def is_expired(user: Row[Any]) -> bool:
    expires_at = user.password_expires_at
    return expires_at is not None and expires_at <= clock.now() and not user.options.get("ignore_password_expiry")


def columns_of(
    rules: PasswordRules, options: dict[str, Any], password_hash: str | None, *, by_self: bool
) -> dict[str, Any]:
    """Columns of a user (with these resource options) who is given this password."""
    must_change = rules.change_password_upon_first_use and not by_self
    expires_at = None
    if password_hash is not None:
        if must_change and not options.get("ignore_change_password_upon_first_use"):
            expires_at = clock.now()
        elif rules.password_expires_days and not options.get("ignore_password_expiry"):
            expires_at = clock.after(rules.password_expires_days * _DAY_S)[:19] + ".000000"
    return {
        "password_hash": password_hash,
        "password_created_at": clock.now(),
        "password_expires_at": expires_at,
        "password_by_self": by_self,
    }


def remembered_hashes(tx: Tx, rules: PasswordRules, user: Row[Any]) -> list[str]:
    """Hashes of the passwords that the user may not choose now, the present one first."""
    former = table_of(FormerPassword).c
    most = rules.unique_last_password_count
    if not most:
        return []
    older = select(former.password_hash).where(former.user_id == user.id).order_by(former.position.desc())
    present = [user.password_hash] if user.password_hash is not None else []
    return [*present, *tx.scalars(older.limit(most - 1))]


def remember(tx: Tx, rules: PasswordRules, user: Row[Any]) -> None:
    """Keep the hash of the password that is about to be replaced, and no more of them than the rules ask for."""
    former = table_of(FormerPassword).c
    newest = tx.scalar(select(func.max(former.position)).where(former.user_id == user.id)) or 0
    if rules.unique_last_password_count > 1 and user.password_hash is not None:
        newest += 1
        tx.insert(FormerPassword, user_id=user.id, position=newest, password_hash=user.password_hash)
    too_old = newest - (rules.unique_last_password_count - 1)
    tx.delete_where(FormerPassword, former.user_id == user.id, former.position <= too_old)


def repeated(rules: PasswordRules) -> BadRequest:
    return BadRequest(
        "The new password cannot be identical to a previous password. The total number which includes the new password"
        f" must be unique is {rules.unique_last_password_count}."
    )
