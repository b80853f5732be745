# SPDX-License-Identifier: Apache-2.0
"""Keeps the wanted rows of one host as one `NetworkWorld`. No driver, no I/O."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from altostratus.contracts.host_api import Key, Wanted
from altostratus.contracts.network import NetworkSpec, NetworkWorld, PortSpec, RouterSpec, SecurityGroupSpec

KINDS = ("network", "port", "security_group", "router")
_SPECS: dict[str, type[msgspec.Struct]] = {
    "network": NetworkSpec,
    "port": PortSpec,
    "security_group": SecurityGroupSpec,
    "router": RouterSpec,
}


class WorldKeeper:
    """Rows that did not change stay the same objects, by which a driver knows that nothing is to do."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._world = NetworkWorld()

    @property
    def world(self) -> NetworkWorld:
        return self._world

    def has(self, key: Key) -> bool:
        return key.id in self._tables[key.kind]

    def take(self, wanted: Mapping[Key, Wanted], changed: Iterable[Key], *, resync: bool) -> dict[Key, str]:
        """Bring the world up to date; returns a sentence for each row whose spec cannot be read.

        Such a row stays as it was: what runs is not torn down for a spec that nobody can read.
        """
        keys = set(changed)
        if resync:
            keys |= wanted.keys() | {Key(kind, row) for kind, table in self._tables.items() for row in table}
        refused: dict[Key, str] = {}
        tables = {kind: dict(table) for kind, table in self._tables.items()}
        for key in keys:
            row = wanted.get(key)
            if row is None or row.spec is None:
                tables[key.kind].pop(key.id, None)
                continue
            try:
                spec = msgspec.convert(row.spec, _SPECS[key.kind])
            except msgspec.ValidationError as error:
                refused[key] = f"The wanted {key.kind.replace('_', ' ')} cannot be read by this host's agent: {error}."
                continue
            if tables[key.kind].get(key.id) != spec:
                tables[key.kind][key.id] = spec
        if tables != self._tables:
            self._tables = tables
            self._world = NetworkWorld(
                networks=tables["network"],
                ports=tables["port"],
                security_groups=tables["security_group"],
                routers=tables["router"],
            )
        return refused
