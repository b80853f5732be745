# SPDX-License-Identifier: Apache-2.0
"""What becomes known of who logs in, while the methods of an auth request are gone through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from altostratus.kernel.db import Row, Tx
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import User
from altostratus.services.identity.tokens.authenticator import Entry
from altostratus.services.identity.tokens.layout import Federated


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What methods may read of the request besides its body: whole URL, and headers with upper-case names.

    `peer` is the address that it came from.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    peer: str = ""


@dataclass(slots=True)
class Attempt:
    """One auth request. `wanted_scope` is its `scope` as given, or None. `request` is None inside the process.

    `parent` is the token that the method token brought; `credential`, `trust` and `access_token` are rows that
    bind the new token to something besides its user.
    """

    started_at: str
    wanted_scope: Any = None
    request: HttpRequest | None = None
    user: Row[Any] | None = None
    parent: Entry | None = None
    credential: Row[Any] | None = None
    trust: Row[Any] | None = None
    access_token: Row[Any] | None = None
    federated: Federated | None = None
    methods: list[str] = field(default_factory=list)

    def settle_user(self, user: Row[Any]) -> None:
        """Every method must name the same user. Raises LoginError."""
        if self.user is not None and self.user.id != user.id:
            raise LoginError("the methods name different users")
        self.user = user


def existing_user(tx: Tx, user_id: str) -> Row[Any]:
    row = tx.find(User, user_id)
    if row is None:
        raise LoginError(f"user {user_id} does not exist")
    return row
