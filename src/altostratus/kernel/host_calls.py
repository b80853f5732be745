# SPDX-License-Identifier: Apache-2.0
"""Questions to a host with a deadline: the console log, diagnostics. They change nothing and may fail."""

from typing import Any, Protocol


class HostCalls(Protocol):
    """Given to services as `cloud.part(HostCalls)`."""

    def call(self, host: str, name: str, params: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """`name` is "<agent>.<call>" such as "compute.console_log". Raises errors.Unavailable with a sentence."""
