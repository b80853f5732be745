# SPDX-License-Identifier: Apache-2.0
"""The token of a user whom an identity provider vouches for, under the older names `mapped`, `saml2` and `openid`.

The first token comes from `/OS-FEDERATION/identity_providers/{id}/protocols/{id}/auth`; this makes others of it.
"""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.methods import token
from altostratus.services.identity.tokens.methods.schemas import WORD

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {**token.SCHEMA["properties"], "identity_provider": WORD, "protocol": WORD},
}


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    if "id" not in given:
        raise Unauthorized(
            "Nothing here shows what the identity provider said of you. Log in at"
            " /v3/OS-FEDERATION/identity_providers/(id)/protocols/(id)/auth with the provider's token."
        )
    token.step(cloud, attempt, {"id": given["id"]})
    if attempt.federated is None:
        raise LoginError("the token does not come from an identity provider")
