# SPDX-License-Identifier: Apache-2.0
"""Another object store that containers are copied to, spoken to by HTTP."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from altostratus.contracts.object_store import Readable


class PeerError(Exception):
    """No answer came: it cannot be reached, or broke off."""


class PeerAnswer(NamedTuple):
    """Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


class ObjectPeer(Protocol):
    """Driver contract. Thread-safe."""

    def request(self, method: str, url: str, headers: Mapping[str, str], body: Readable | None = None) -> PeerAnswer:
        """Follows no redirections. The length of the body stands in the headers. Raises PeerError."""
