# SPDX-License-Identifier: Apache-2.0
"""Long lists, quickly: the JSON of a server is made again only when something it is made of has changed.

Nothing can go stale: the database is read for every request, and what was read is compared with what the
JSON was made of.
"""

from typing import Any, Final

import msgspec

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.services.compute.logic import views
from altostratus.services.compute.logic.views import Inputs

_MOST: Final = 5000
_encode = msgspec.json.Encoder().encode


class Memo:
    """(who may see what, version, URL) and server id -> inputs and JSON. Safe for threads: entries are whole."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[Inputs, msgspec.Raw]] = {}

    def render(self, call: Call, rows: list[Row[Any]], only: tuple[str, ...]) -> list[msgspec.Raw]:
        """JSON of each server in the order of `rows`."""
        kind = (
            call.version,
            only,
            call.host_url,
            call.ctx.is_admin,
            call.may("os_compute_api:servers:show:flavor-extra-specs"),
            call.may("os_compute_api:servers:show:host_status"),
        )
        found: list[msgspec.Raw | None] = []
        stale: list[tuple[int, Inputs]] = []
        for place, inputs in enumerate(views.gather(call, rows)):
            known = self._known.get((inputs.row.id, kind))
            if known is not None and known[0] == inputs:
                found.append(known[1])
            else:
                found.append(None)
                stale.append((place, inputs))
        if stale:
            self._renew(call, kind, stale, only, found)
        return [one for one in found if one is not None]

    def _renew(
        self,
        call: Call,
        kind: tuple[Any, ...],
        stale: list[tuple[int, Inputs]],
        only: tuple[str, ...],
        found: list[msgspec.Raw | None],
    ) -> None:
        shown = call.render([views.attributes(inputs) for _, inputs in stale], only=only)
        if len(self._known) + len(stale) > _MOST:
            self._known.clear()
        for (place, inputs), one in zip(stale, shown, strict=True):
            found[place] = raw = msgspec.Raw(_encode(one))
            self._known[inputs.row.id, kind] = (inputs, raw)
