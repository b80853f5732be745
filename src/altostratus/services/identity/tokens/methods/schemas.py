# SPDX-License-Identifier: Apache-2.0
"""Pieces of the schemas of auth requests."""

from typing import Any

from altostratus.services.identity.tokens.passwords import LONGEST

WORD = {"type": "string", "maxLength": 255}
SECRET = {"type": "string", "maxLength": LONGEST}
NAMED: dict[str, Any] = {"type": "object", "properties": {"id": WORD, "name": WORD}}
NAMED_IN_DOMAIN: dict[str, Any] = {"type": "object", "properties": {"id": WORD, "name": WORD, "domain": NAMED}}


def user_with(secret: str) -> dict[str, Any]:
    """`{"user": {"id" or "name" and "domain", secret}}`."""
    properties = {**NAMED_IN_DOMAIN["properties"], secret: SECRET}
    return {"type": "object", "properties": {"user": {"type": "object", "properties": properties}}}
