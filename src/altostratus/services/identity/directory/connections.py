# SPDX-License-Identifier: Apache-2.0
"""Connections to an LDAP server: opened, encrypted and bound; its refusals as errors of ours.

Every connection is used by one thread at a time. Those bound as the cloud's own user are kept for the next question.
"""

import random
import ssl
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import ldap3
from ldap3.core.exceptions import LDAPCommunicationError, LDAPException, LDAPResponseTimeoutError
from pyasn1.error import PyAsn1Error

from altostratus.kernel import clock, log
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from altostratus.services.identity.directory.contract import DirectoryDown, Unanswered
from altostratus.services.identity.directory.settings import SHORTEST_TIMEOUT_S, LdapSettings, Server, Tls

T = TypeVar("T")
Connection = Any  # ldap3 has no types

_log = log.get("identity.directory")
_MOST_IDLE, _IDLE_S = 4, 30.0
# what ends a connection, and what is about a question or its answer
_BROKEN = (LDAPCommunicationError, LDAPResponseTimeoutError, OSError)
_MISUNDERSTOOD = (LDAPException, PyAsn1Error, UnicodeError)
# while a connection is made, everything means that there is none
_REFUSED = (*_BROKEN, *_MISUNDERSTOOD)
# result codes of RFC 4511
SUCCESS, TIME_LIMIT, SIZE_LIMIT, NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 3, 4, 32, 49
_REFERRAL, _ADMIN_LIMIT = 10, 11
# what a server says of somebody it does not let in: unknown, wrong, locked, not allowed to log in here ...
_NOT_LET_IN = frozenset({INVALID_CREDENTIALS, NO_SUCH_OBJECT, 19, 34, 48, 50, 53})
_REFUSALS: dict[int, tuple[type[BadRequest | Conflict | Forbidden | NotFound], str]] = {
    16: (NotFound, "the entry has no such value"),
    17: (BadRequest, "the directory knows no attribute of that name"),
    19: (BadRequest, "the directory does not take such a value"),
    20: (Conflict, "the entry has that value already"),
    21: (BadRequest, "the directory does not take such a value"),
    32: (NotFound, "the directory has no such entry (any more)"),
    50: (Forbidden, "the directory does not let the cloud's user do that"),
    53: (Forbidden, "the directory is unwilling to do that"),
    65: (BadRequest, "the entry would miss an attribute, or have one too many, for its object class"),
    68: (Conflict, "the directory has such an entry already"),
}


class _VerifyingTls(ldap3.Tls):  # type: ignore[misc]
    """The interpreter's own check of certificate and host name, instead of the library's copy of an old one."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
        )


def _context_of(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file, capath=tls.ca_directory)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Idle(NamedTuple):
    connection: Connection
    since: float


class Connections:
    """See the module's text. Raises DirectoryDown wherever no server answers."""

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._idle: list[_Idle] = []
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to a question that changes nothing: asked again if a kept connection proves dead at once."""
        kept, started = self._take(), clock.monotonic()
        if kept is not None:
            try:
                return self._give_back(kept, question(kept))
            except _BROKEN as error:
                _close(kept)
                if clock.monotonic() - started >= SHORTEST_TIMEOUT_S:
                    raise _down(self._settings, error) from None
            except _MISUNDERSTOOD as error:
                _close(kept)
                raise _unanswered(error) from None
            except BaseException:
                _close(kept)
                raise
        return self.change(question)

    def change(self, question: Callable[[Connection], T]) -> T:
        """The same on a fresh connection, asked once."""
        connection = self._bound()
        try:
            return self._give_back(connection, question(connection))
        except _BROKEN as error:
            _close(connection)
            raise _down(self._settings, error) from None
        except _MISUNDERSTOOD as error:
            _close(connection)
            raise _unanswered(error) from None
        except BaseException:
            _close(connection)
            raise

    def is_let_in(self, dn: str, password: str) -> bool:
        """Does the server take this password for this name? Never asked without both: that would be anonymous."""
        secret = as_bytes(password)
        if not dn or not secret or secret.decode() != password:
            return False
        connection = self._open()
        try:
            connection.user, connection.password, connection.authentication = dn, secret, ldap3.SIMPLE
            connection.bind()
            code = connection.result["result"]
        except _REFUSED as error:
            raise _down(self._settings, error) from None
        finally:
            _close(connection)
        if code == SUCCESS:
            return True
        if code in _NOT_LET_IN:
            return False
        raise _unanswered(_words(connection))

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            _close(one.connection)

    def _take(self) -> Connection | None:
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if clock.monotonic() - since < _IDLE_S:
                    return connection
                _close(connection)
        return None

    def _give_back(self, connection: Connection, answer: T) -> T:
        with self._lock:
            keep = len(self._idle) < _MOST_IDLE
            if keep:
                self._idle.append(_Idle(connection, clock.monotonic()))
        if not keep:
            _close(connection)
        return answer

    def _bound(self) -> Connection:
        """As the cloud's own user, or anonymous if the options name none."""
        connection, settings = self._open(), self._settings
        try:
            if settings.user and settings.password:
                connection.user, connection.password = settings.user, as_bytes(settings.password)
                connection.authentication = ldap3.SIMPLE
            connection.bind()
        except _REFUSED as error:
            _close(connection)
            raise _down(settings, error) from None
        if connection.result["result"] != SUCCESS:
            words = _words(connection)
            _close(connection)
            raise _down(settings, f"it does not let the cloud in ({words}). Check [ldap] user and password")
        return connection

    def _open(self) -> Connection:
        settings = self._settings
        servers = list(settings.servers)
        if settings.randomize:
            random.shuffle(servers)
        failure: Exception = OSError("no server")
        for server in servers:
            try:
                return self._open_to(server)
            except _REFUSED as error:
                failure = error
        raise _down(settings, failure)

    def _open_to(self, server: Server) -> Connection:
        settings = self._settings
        if self._context is None and (server.tls or settings.tls.start):
            # reading all authorities takes longer than all the rest
            self._context = _context_of(settings.tls)
        place = ldap3.Server(
            server.host, server.port, use_ssl=server.tls,
            tls=None if self._context is None else _VerifyingTls(self._context),
            get_info=ldap3.NONE, connect_timeout=settings.timeout_s,
            # whoever we are sent to does not get our password
            allowed_referral_hosts=[("*", False)],
        )  # fmt: skip
        connection = ldap3.Connection(
            place, client_strategy=ldap3.SYNC, receive_timeout=settings.timeout_s, check_names=False,
            auto_referrals=settings.chase_referrals, raise_exceptions=False,
        )  # fmt: skip
        try:
            connection.open(read_server_info=False)
            if settings.tls.start and not connection.start_tls(read_server_info=False):
                raise OSError(f"it does not start TLS: {_words(connection)}")
        except _REFUSED:
            _close(connection)
            raise
        return connection


def demand_done(connection: Connection, what: str) -> None:
    """Raises what a server's refusal of a change means; `what` is a sentence without its end."""
    code = connection.result["result"]
    if code == SUCCESS:
        return
    kind, reason = _REFUSALS.get(code, (Forbidden, "the directory refuses"))
    raise kind(f"{what}: {reason} ({_words(connection)}).")


def demand_found(connection: Connection) -> bool:
    """Did a search end well? False if there is more than was given. Raises Unanswered."""
    code = connection.result["result"]
    if code in (SUCCESS, NO_SUCH_OBJECT, _REFERRAL):
        return True
    if code == SIZE_LIMIT:
        return False
    if code in (TIME_LIMIT, _ADMIN_LIMIT):
        raise Unanswered("The directory gave up on the search: it has too many entries. Ask for one by its name.")
    raise _unanswered(_words(connection))


def _words(connection: Connection) -> str:
    result = connection.result or {}
    return ": ".join(filter(None, (str(result.get("description", "")), str(result.get("message", "")).strip())))


def _down(settings: LdapSettings, reason: object) -> DirectoryDown:
    """Where the directory is stays in the log: users of the cloud may not know."""
    _log.warning("directory %s: %s", ", ".join(server.host for server in settings.servers), reason)
    return DirectoryDown(
        "The directory of this domain's users cannot be asked just now. Try again in a while; the cloud's log says why."
    )


def _unanswered(reason: object) -> Unanswered:
    _log.warning("a directory does not answer: %s", reason)
    return Unanswered("The directory of this domain's users does not answer this question; the cloud's log says why.")


def as_bytes(password: str) -> bytes:
    """As it is: the library would refuse some characters, and change others. Half a surrogate pair becomes `?`."""
    return password.encode(errors="replace")


def _close(connection: Connection) -> None:
    try:
        connection.unbind()
    except _REFUSED:
        return
