# SPDX-License-Identifier: Apache-2.0
"""An application credential and its secret."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.services.identity.logic import login
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.tokens import passwords
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.methods.schemas import NAMED_IN_DOMAIN, SECRET, WORD

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": WORD, "name": WORD, "secret": SECRET, "user": NAMED_IN_DOMAIN},
}


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    if "secret" not in given:
        raise login.missing("secret", "application credential")
    with cloud.db.read() as tx:
        credential = login.find_application_credential(tx, given)
        user = None if credential is None else login.find_login_user(tx, {"id": credential.user_id})
    right = passwords.is_password(given["secret"], None if credential is None else credential.secret_hash)
    if credential is None or user is None or not right:
        raise LoginError(f"no such application credential, or wrong secret: {given.get('id') or given.get('name')!r}")
    attempt.settle_user(user)
    attempt.credential = credential
