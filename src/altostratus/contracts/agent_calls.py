# SPDX-License-Identifier: Apache-2.0
"""Questions from the control process to a host's agents: only to look, never to change anything."""

from typing import Any, Protocol


class AgentCalls(Protocol):
    """The composition root gives one to the services (`cloud.part(AgentCalls)`)."""

    def call(self, host: str, name: str, params: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask `<agent>.<question>` of `host`. Raises `Unavailable` with a sentence if there is no answer in time."""
