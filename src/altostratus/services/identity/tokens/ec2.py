# SPDX-License-Identifier: Apache-2.0
"""From a signed EC2 or S3 request to a token of the credential's user, no stronger than what made the credential."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from altostratus.kernel import clock, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import NotFound, Unauthorized
from altostratus.services.identity.logic import login, trusts
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.models import AccessToken, ApplicationCredential, Credential
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.authenticator import Entry
from altostratus.services.identity.tokens.aws_signature import SignatureError
from altostratus.services.identity.tokens.key_ring import CredentialKeys
from altostratus.services.identity.tokens.login import make_token

_log = log.get("identity")
# members of a credential's blob that say by which delegation it was made
BINDINGS = {
    "trust_id": "trust_id",
    "application_credential_id": "app_cred_id",
    "access_token_id": "access_token_id",
}


def id_of_access(access: str) -> str:
    """The id of the credential that has this access key."""
    return hashlib.sha256(access.encode()).hexdigest()


def log_in_signed(
    cloud: Cloud, given: Mapping[str, Any], is_signed: Callable[[str, Mapping[str, Any]], bool]
) -> tuple[str, Entry]:
    """`given`: the request as described in `aws_signature`, with its `access` key. Raises NotFound, Unauthorized."""
    if not given.get("access") or not given.get("signature"):
        raise Unauthorized("EC2 signature not supplied.")
    started_at = clock.now()
    pair = find_pair(cloud, given["access"])
    if pair is None:
        raise NotFound("EC2 access key not found.")
    row, blob = pair
    try:
        if not is_signed(str(blob.get("secret", "")), given):
            raise Unauthorized("Invalid EC2 signature.")
    except SignatureError as error:
        raise Unauthorized(f"Invalid EC2 signature: {error}.") from None
    return log_in_by_pair(cloud, row, blob, started_at)


def find_pair(cloud: Cloud, access: str) -> tuple[Row[Any], dict[str, Any]] | None:
    """The credential of this access key, and its opened blob."""
    with cloud.db.read() as tx:
        row = tx.find(Credential, id_of_access(access))
    if row is None or row.type != "ec2":
        return None
    return row, json.loads(cloud.part(CredentialKeys).unseal(row.encrypted_blob))


def log_in_by_pair(cloud: Cloud, row: Row[Any], blob: Mapping[str, Any], started_at: str) -> tuple[str, Entry]:
    """For who has proven to know the secret. Raises Unauthorized."""
    try:
        with cloud.db.read() as tx:
            attempt = _attempt(tx, row, blob, started_at)
        return make_token(cloud, attempt)
    except (LoginError, VoidTokenError) as error:
        _log.info("a signed request was refused: %s", error)
        raise Unauthorized(
            "The credential's user has no right to its project, or what it was made by is gone."
        ) from None


def _attempt(tx: Tx, row: Row[Any], blob: Mapping[str, Any], started_at: str) -> Attempt:
    """The login that the credential stands for. Raises LoginError."""
    attempt = Attempt(started_at, methods=["ec2credential"])
    user_id = row.user_id
    if trust_id := blob.get("trust_id"):
        attempt.trust = trusts.find_trust(tx, trust_id)
        user_id = _trustee(row, attempt.trust)
    elif credential_id := blob.get("app_cred_id"):
        attempt.credential = _own(tx.find(ApplicationCredential, credential_id), row)
    elif access_token_id := blob.get("access_token_id"):
        attempt.access_token = _own(tx.find(AccessToken, access_token_id), row)
    else:
        attempt.wanted_scope = {"project": {"id": row.project_id}}
    user = login.find_login_user(tx, {"id": user_id})
    if user is None:
        raise LoginError(f"user {user_id} does not exist or is disabled")
    attempt.user = user
    return attempt


def _own(delegation: Row[Any] | None, row: Row[Any]) -> Row[Any]:
    """What the credential was made by, if it is there and still of the same user and project."""
    if delegation is None or (delegation.user_id, delegation.project_id) != (row.user_id, row.project_id):
        raise LoginError(f"what credential {row.id} was made by is gone, or for another user or project")
    return delegation


def _trustee(row: Row[Any], trust: Row[Any] | None) -> str:
    """Who logs in: the credential belongs to the trustor when the trust impersonates."""
    if trust is not None and trust.project_id == row.project_id:
        owner = trust.trustor_user_id if trust.impersonation else trust.trustee_user_id
        if owner == row.user_id:
            return str(trust.trustee_user_id)
    raise LoginError(f"the trust that credential {row.id} was made by is gone, or for another user or project")
