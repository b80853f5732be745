# SPDX-License-Identifier: Apache-2.0
"""A passcode from an authenticator app, whose seed is a credential of type totp. None is taken twice."""

from typing import Any

from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic import login, passcodes
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.key_ring import CredentialKeys
from altostratus.services.identity.tokens.methods.schemas import user_with
from altostratus.services.identity.tokens.proof import settle

SCHEMA = user_with("passcode")
_log = log.get("identity")


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    named = given.get("user")
    if not isinstance(named, dict):
        raise login.missing("user", "totp")
    if "passcode" not in named:
        raise login.missing("passcode", "user")
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, named)
        seeds = [] if user is None else passcodes.seeds_of(tx, user.id)
    found = _find(cloud, seeds, named["passcode"])
    proven = settle(cloud, user, right=found is not None, what="passcode")
    if found is not None:
        with cloud.db.write() as tx:
            if not passcodes.take(tx, *found):
                raise LoginError(f"a passcode of user {proven.id} came twice")
    attempt.settle_user(proven)


def _find(cloud: Cloud, seeds: list[Row[Any]], given: str) -> tuple[str, int] | None:
    """The id of the credential that the passcode belongs to, and its step."""
    windows, newest = cloud[IdentityOptions].included_previous_windows, passcodes.current_step()
    for row in seeds:
        try:
            seed = cloud.part(CredentialKeys).unseal(row.encrypted_blob).decode()
            found = passcodes.step_of(seed, given, newest=newest, windows=windows)
        except ValueError as error:
            _log.info("credential %s is no seed of passcodes: %s", row.id, error)
            continue
        if found is not None:
            return row.id, found
    return None
