# SPDX-License-Identifier: Apache-2.0
"""The access token of an OAuth 1 consumer: the request itself is signed, its body says nothing."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.services.identity.logic import login, oauth1
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import AccessToken, Consumer
from altostratus.services.identity.tokens import oauth_signature as signature
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.key_ring import CredentialKeys

SCHEMA: dict[str, Any] = {"type": "object"}


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    if attempt.request is None:
        raise LoginError("a signed request is needed")
    stated = signature.read_parameters(attempt.request, "oauth_consumer_key", "oauth_token")
    with cloud.db.read() as tx:
        consumer = tx.find(Consumer, stated["oauth_consumer_key"])
        places = oauth1.places(tx)
        access_token = tx.find(AccessToken, stated["oauth_token"])
        user = None if access_token is None else login.find_login_user(tx, {"id": access_token.user_id})
    if consumer is None or access_token is None or user is None or access_token.consumer_id != consumer.id:
        raise LoginError("no such consumer or access token, or its user is disabled")
    if oauth1.is_over(access_token):
        raise LoginError(f"access token {access_token.id} has expired")
    keys = cloud.part(CredentialKeys)
    secrets = [keys.unseal(row.encrypted_secret).decode() for row in (consumer, access_token)]
    if not signature.is_signed(attempt.request, stated, secrets, places):
        raise LoginError("wrong signature")
    with cloud.db.write() as tx:
        oauth1.use_nonce(tx, consumer.id, signature.digest_of(stated), 2 * signature.CLOCK_SKEW_S)
    attempt.settle_user(user)
    attempt.access_token = access_token
