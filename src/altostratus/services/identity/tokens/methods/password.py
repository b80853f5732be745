# SPDX-License-Identifier: Apache-2.0
"""A user's name and password."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.services.identity.logic import login
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.tokens import passwords
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.methods.schemas import user_with

SCHEMA = user_with("password")


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    named = given.get("user")
    if not isinstance(named, dict):
        raise login.missing("user", "password")
    if "password" not in named:
        raise login.missing("password", "user")
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, named)
    if not passwords.is_password(named["password"], None if user is None else user.password_hash) or user is None:
        raise LoginError(f"no such user, or wrong password: {named.get('id') or named.get('name')!r}")
    attempt.settle_user(user)
