# SPDX-License-Identifier: Apache-2.0
"""Whose secret is this? Asked in one way for passwords and passcodes, so that every wrong one counts.

A locked account, a disabled one and one that nobody has look the same to who asks: the same words, the same work.
"""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory import looking
from altostratus.services.identity.logic import accounts, login, password_rules
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import User
from altostratus.services.identity.tokens import passwords


def prove_password(cloud: Cloud, named: dict[str, Any], password: str) -> Row[Any]:
    """The user of `{"id"}` or `{"name", "domain"}`, whose password this is. Raises LoginError, BadRequest.

    Of a directory's user, the directory says so. Raises Unavailable if it does not answer.
    """
    foreign = looking.prove_password(cloud, named, password)
    if foreign is not None:
        return settle(cloud, foreign.user, right=foreign.right, what="password", wrong=password)
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, named)
    right = passwords.is_password(password, None if user is None else user.password_hash)
    proven = settle(cloud, user, right=right, what="password", wrong=password)
    if user is None or proven.password_hash != user.password_hash:
        raise LoginError(f"the password of user {proven.id} was changed meanwhile")
    return proven


def settle(cloud: Cloud, user: Row[Any] | None, *, right: bool, what: str, wrong: str | None = None) -> Row[Any]:
    """The user as it is now if the secret was right and the account is open; else counts a failure.

    wrong: the password, if it was one, for the operator's clue to it
    It is read again: as many failures as lock the account may have come while the secret was compared.
    """
    rules = cloud[IdentityOptions]
    if user is not None and right and not accounts.is_locked(rules, user):
        with cloud.db.read() as tx:
            now = tx.find(User, user.id)
        if now is not None and now.enabled and not _is_shut(cloud, now):
            return now
        raise LoginError(f"the account of user {user.id} is locked, inactive, disabled or gone")
    user_id = None if user is None else user.id
    clue = None if wrong is None else password_rules.clue_to(rules, wrong)
    if rules.lockout_failure_attempts or clue is not None:
        with cloud.db.write() as tx:
            if rules.lockout_failure_attempts:
                accounts.count_failure(tx, rules, user_id)
            if clue is not None:
                _tell(tx, cloud, user_id, clue)
    raise LoginError(f"no such user, wrong {what}, or a locked account: {user_id}")


def _tell(tx: Tx, cloud: Cloud, user_id: str | None, clue: str) -> None:
    """The event that upstream sends of a refused login, with upstream's names."""
    attachment = {"name": "partial_password_hash", "typeURI": "mime:text/plain", "content": clue}
    payload = {"outcome": "failure", "initiator": {"user_id": user_id}, "attachments": [attachment]}
    cloud.events.emit(tx, "identity.authenticate", payload, publisher_id="identity.control")


def _is_shut(cloud: Cloud, user: Row[Any]) -> bool:
    rules = cloud[IdentityOptions]
    return accounts.is_locked(rules, user) or accounts.is_inactive(rules, user._mapping)
