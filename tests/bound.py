# SPDX-License-Identifier: Apache-2.0
"""Personas whose tokens have access rules."""

from altostratus.kernel.access_rules import AccessRule, AccessRules
from altostratus.kernel.auth import Context
from altostratus.testing.personas import PersonaAuthenticator


class BoundAuthenticator(PersonaAuthenticator):
    """`rules` bind every token, from the next request on."""

    def __init__(self, *rules: AccessRule) -> None:
        super().__init__()
        self.rules = list(rules)

    def authenticate(self, token: str) -> Context:
        known = super().authenticate(token)
        return Context(
            user_id=known.user_id,
            roles=known.roles,
            project_id=known.project_id,
            names=known.names,
            access_rules=AccessRules(self.rules),
        )
