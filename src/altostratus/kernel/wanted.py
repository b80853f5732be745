# SPDX-License-Identifier: Apache-2.0
"""Wanted rows and reports, as they travel between the control process and the agents.

`contracts.host_api` gives these to the agents; they are declared here because the store of wanted rows
(`kernel.desired`) may not import upwards.
"""

from typing import Any, NamedTuple

import msgspec


class Key(NamedTuple):
    """Name of one wanted row: the kind (`server`, `port`, ...) and the id of the resource."""

    kind: str
    id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted row. `spec` is None when the thing must be absent."""

    kind: str
    id: str
    generation: int
    spec: dict[str, Any] | None

    @property
    def key(self) -> Key:
        return Key(self.kind, self.id)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent observed of one wanted row.

    `generation` is the newest generation that the observation answers. `error` is None when the
    machine matches that generation; otherwise a sentence for people (what failed, what to do).
    `final` says that trying again cannot help (bad image, no such device), so a waiting job gives up
    at once; a non-final error is retried by the agent until the job's own deadline.
    """

    kind: str
    id: str
    generation: int
    state: dict[str, Any] = {}
    error: str | None = None
    final: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `watch`: all rows whose revision is above `since`, and the newest revision."""

    revision: int
    rows: list[Wanted]
