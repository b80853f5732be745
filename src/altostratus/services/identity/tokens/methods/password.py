# SPDX-License-Identifier: Apache-2.0
"""A user's name and password."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.logic import login
from altostratus.services.identity.logic.password_rules import is_expired
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.methods.schemas import user_with
from altostratus.services.identity.tokens.proof import prove_password

SCHEMA = user_with("password")


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    named = given.get("user")
    if not isinstance(named, dict):
        raise login.missing("user", "password")
    if "password" not in named:
        raise login.missing("password", "user")
    user = prove_password(cloud, named, named["password"])
    if is_expired(user):
        # who knows the password may know that it must be changed; dashboards look for these words
        raise Unauthorized(f"The password is expired and needs to be changed for user: {user.id}.")
    attempt.settle_user(user)
