# SPDX-License-Identifier: Apache-2.0
"""The only source of identifiers."""

import random
import re
import secrets
import uuid

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def new_id() -> str:
    """A random UUID with dashes, as every service but identity uses it."""
    return str(uuid.uuid4())


def new_hex_id() -> str:
    """A random UUID without dashes, as identity uses it."""
    return uuid.uuid4().hex


def new_request_id() -> str:
    """Nobody need be kept from guessing it: no call of the system, at which another thread would take over."""
    return f"req-{uuid.UUID(int=random.getrandbits(128), version=4)}"


def new_label() -> str:
    """32 random digits that name something in logs, as cheaply."""
    return f"{random.getrandbits(128):032x}"


def new_secret(size_bytes: int = 24) -> str:
    """A random password or key, safe in URLs and shells."""
    return secrets.token_urlsafe(size_bytes)


def derived_id(namespace: str, name: str) -> str:
    """The same UUID for the same names, everywhere and always."""
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "altostratus:" + namespace), name))


def is_uuid(text: object) -> bool:
    """With or without dashes, as upstream's `is_uuid_like` takes it."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None
