# SPDX-License-Identifier: Apache-2.0
"""`Directories`: the directory that a domain has, and how much of this process it may take.

A directory that does not answer costs nobody but its own domain: few threads wait for it at once, and after a failure
nobody does for a few seconds.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.turns import release_turn
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory.contract import Directory, DirectoryDown
from altostratus.services.identity.directory.settings import parse_settings
from altostratus.services.identity.logic import domain_config, domain_options
from altostratus.services.identity.models import Project

Options = Mapping[str, Any]
_NO_LIMIT: Options = {"list_limit": None}
# nobody asks for so long after a failure; nobody waits for a turn longer, nor when somebody has waited so long already
_PAUSE_S, _TURN_S = 5.0, 1.0
_BUSY = "The directory of this domain's users is busy. Try again in a moment."


class _Held:
    """One domain's directory, as long as its options stay the same."""

    def __init__(self, options: Options, directory: Directory, calls_at_once: int) -> None:
        self.options, self.directory = options, directory
        self.turns = threading.BoundedSemaphore(calls_at_once)
        self.rests_until = 0.0
        self.failure = ""
        self._started: dict[int, float] = {}

    def demand_awake(self) -> None:
        """Raises DirectoryDown if waiting is of no use."""
        if clock.monotonic() < self.rests_until:
            raise DirectoryDown(self.failure)
        oldest = min(list(self._started.values()), default=None)
        if oldest is not None and clock.monotonic() - oldest > _TURN_S:
            raise DirectoryDown(_BUSY)

    @contextmanager
    def turn(self) -> Iterator[None]:
        if not self.turns.acquire(timeout=_TURN_S):
            raise DirectoryDown(_BUSY)
        me = threading.get_ident()
        self._started[me] = clock.monotonic()
        try:
            yield
        finally:
            del self._started[me]
            self.turns.release()


class Directories:
    """See the module's text. `open` makes a directory of the options; tests put their own there."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self.open: Callable[[Options], Directory] = _open_ldap

    @classmethod
    def of(cls, cloud: Cloud) -> Self:
        """The cloud's own; made when it is first asked for."""
        if not cloud.has_part(cls):
            cloud.add_part(cls, cls(cloud))
        return cloud.part(cls)

    def options_of(self, tx: Tx, domain_id: str) -> Options | None:
        """The options of the domain's directory; None if its users are our own.

        The configuration file, which names domains by name or id, goes before what the API was given.
        """
        in_file = self._cloud[IdentityOptions].directories
        if in_file:
            domain = tx.find(Project, domain_id)
            given = in_file.get(domain_id) or in_file.get(domain.name if domain is not None else "")
            if given is not None:
                return {**_NO_LIMIT} | domain_options.LDAP | domain_options.SENSITIVE["ldap"] | given
        config = domain_config.effective(tx, self._cloud, domain_id)
        if config["identity"]["driver"] != "ldap":
            return None
        return {"list_limit": config["identity"]["list_limit"]} | config["ldap"]

    def limit_of(self, domain_id: str) -> int:
        """How many entries a list takes."""
        with self._cloud.db.read() as tx:
            options = self.options_of(tx, domain_id)
        most = self._cloud[IdentityOptions].directory_list_limit
        return min(most, (options or _NO_LIMIT)["list_limit"] or most)

    def has(self, domain_id: str) -> bool:
        with self._cloud.db.read() as tx:
            return self.options_of(tx, domain_id) is not None

    @contextmanager
    def asking(self, domain_id: str) -> Iterator[Directory]:
        """The domain's directory, in one's turn. Raises Unavailable. Never inside a transaction."""
        held = self._holding(domain_id)
        held.demand_awake()
        release_turn()
        with held.turn():
            # while we waited, others may have learnt that it is down
            held.demand_awake()
            try:
                yield held.directory
            except DirectoryDown as error:
                held.rests_until, held.failure = clock.monotonic() + _PAUSE_S, error.message
                raise

    def _holding(self, domain_id: str) -> _Held:
        with self._cloud.db.read() as tx:
            options = self.options_of(tx, domain_id)
        if options is None:
            raise DirectoryDown("The users of this domain come from a directory that it does not have any more.")
        with self._lock:
            held = self._held.get(domain_id)
            if held is None or held.options != options:
                if held is not None:
                    held.directory.close()
                calls_at_once = self._cloud[IdentityOptions].directory_calls_at_once
                held = self._held[domain_id] = _Held(options, self.open(options), calls_at_once)
        return held


def _open_ldap(options: Options) -> Directory:
    # 8 MB that most clouds never need
    from altostratus.services.identity.directory.ldap import LdapDirectory  # noqa: PLC0415

    return LdapDirectory(parse_settings(options))
