# SPDX-License-Identifier: Apache-2.0
"""The ways to prove who one is. Each module has a `step(cloud, attempt, given)` and the schema of `given`.

A step compares secrets outside transactions, calls `attempt.settle_user`, and raises LoginError for any refusal:
the caller learns nothing about its reason.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from altostratus.kernel.cloud import Cloud
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.methods import (
    application_credential,
    external,
    mapped,
    oauth1,
    password,
    token,
    totp,
)


class Method(NamedTuple):
    step: Callable[[Cloud, Attempt, dict[str, Any]], None]
    schema: dict[str, Any]


METHODS = {
    "password": Method(password.step, password.SCHEMA),
    "token": Method(token.step, token.SCHEMA),
    "application_credential": Method(application_credential.step, application_credential.SCHEMA),
    "totp": Method(totp.step, totp.SCHEMA),
    "external": Method(external.step, external.SCHEMA),
    "oauth1": Method(oauth1.step, oauth1.SCHEMA),
    **dict.fromkeys(("mapped", "saml2", "openid"), Method(mapped.step, mapped.SCHEMA)),
}
