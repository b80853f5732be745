# SPDX-License-Identifier: Apache-2.0
"""What a token would mean that nobody has asked for: for explanations, never for access."""

from altostratus.kernel import clock
from altostratus.kernel.auth import Context
from altostratus.kernel.db import Tx
from altostratus.services.identity.logic.token_state import look_up
from altostratus.services.identity.tokens.authenticator import context_of
from altostratus.services.identity.tokens.layout import Claims, new_audit_id


def would_be_context(tx: Tx, user_id: str, scope: str, scope_id: str) -> Context:
    """What services would see of the user's own token of this scope. Raises VoidTokenError if it gets none."""
    claims = Claims(
        user_id=user_id,
        methods=("password",),
        scope=scope,
        scope_id=scope_id,
        issued_at=clock.now(),
        expires_at=clock.after(1),
        audit_ids=(new_audit_id(),),
    )
    return context_of(look_up(tx, claims))
