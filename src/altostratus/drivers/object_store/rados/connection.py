# SPDX-License-Identifier: Apache-2.0
"""The way to the pools of a cluster: made at the first request, and made again when a pool is gone."""

import ctypes
import errno
import threading
import time
from typing import NamedTuple

from . import librados
from .config import RadosOptions
from .librados import Library, MissingLibrary
from .pool import Pool, RadosError, sentence

# after a failure nobody tries to connect for so long: requests are refused at once instead of waiting as well
_REST_S = 5.0
# a request asks for the pool more than once, but not after it has waited for an answer
_TURN_S = 0.5
# of librados: how long to wait for monitors when connecting, for monitors later, for disks
_TIMEOUTS = ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout")


class Connection:
    """The same pools for all threads."""

    def __init__(self, options: RadosOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pools: Pools | None = None
        self._failed: tuple[float, RadosError] | None = None
        self._next_try, self._trying = 0.0, (0, 0.0)

    def pool(self) -> Pool:
        """Of the blobs. Raises RadosError with a sentence that says what to do."""
        return self._usable().blobs

    def index_pool(self) -> Pool:
        """It has keys, which an erasure-coded pool has not. Raises RadosError."""
        return self._usable().pending

    def url_of(self, blob_id: str) -> str:
        """Of the blob's head, for people and programs that know the cluster."""
        return f"rados://{self._options.pool}/{self._options.namespace}/{blob_id}"

    def _usable(self) -> "Pools":
        found = self._pools
        if found is None or found.gone:
            return self._connected()
        if any(pool.timed_out_at > pool.answered_at + self._options.timeout_s for pool in found):
            self._demand_turn()
        return found

    def _demand_turn(self) -> None:
        """Of a cluster that has said nothing for a while, one request at a time finds out whether it does again."""
        now, me = time.monotonic(), threading.get_ident()
        if now >= self._next_try:
            self._next_try, self._trying = now + self._options.timeout_s + _REST_S, (me, now)
        elif self._trying[0] != me or now > self._trying[1] + _TURN_S:
            raise RadosError(errno.ETIMEDOUT, sentence(errno.ETIMEDOUT))

    def _connected(self) -> "Pools":
        with self._lock:
            if self._pools is not None and not self._pools.gone:
                return self._pools
            if self._failed is not None and time.monotonic() - self._failed[0] < _REST_S:
                raise self._failed[1]
            try:
                self._pools = connect(self._options)
            except RadosError as error:
                self._failed = time.monotonic(), error
                raise
            return self._pools


class Pools(NamedTuple):
    """Of one connection; they may be the same."""

    blobs: Pool
    pending: Pool

    @property
    def gone(self) -> bool:
        return self.blobs.gone or self.pending.gone


def connect(options: RadosOptions) -> Pools:
    """Raises RadosError (0) with a sentence that says what to do."""
    try:
        library = librados.load()
    except MissingLibrary as error:
        raise RadosError(0, str(error)) from error
    cluster = ctypes.c_void_p()
    result = library.slow.rados_create2(cluster, b"ceph", f"client.{options.user}".encode(), 0)
    if result < 0:
        raise _refusal("begin with Ceph", result)
    try:
        _configure(library, cluster, options)
        _demand_connected(library.slow.rados_connect(cluster), options)
        blobs = _opened(library, cluster, options.pool, options.namespace)
        if options.index_pool in ("", options.pool):
            return Pools(blobs, blobs)
        return Pools(blobs, _opened(library, cluster, options.index_pool, options.namespace))
    except BaseException:
        library.slow.rados_shutdown(cluster)
        raise


def _configure(library: Library, cluster: ctypes.c_void_p, options: RadosOptions) -> None:
    result = library.slow.rados_conf_read_file(cluster, options.conf.encode())
    if result < 0:
        raise _refusal(f"read {options.conf}. Copy it from the Ceph cluster, or name it in [rados] conf", result)
    for name in _TIMEOUTS:
        library.quick.rados_conf_set(cluster, name.encode(), str(options.timeout_s).encode())


def _demand_connected(result: int, options: RadosOptions) -> None:
    if result >= 0:
        return
    if -result == errno.ETIMEDOUT:
        raise RadosError(0, f"No monitor of the Ceph cluster answers within {options.timeout_s} s. See: ceph status")
    if -result in (errno.ENOENT, errno.EACCES, errno.EPERM):
        raise RadosError(
            0,
            f"The Ceph cluster does not let client.{options.user} in. Its key must be in the keyring that "
            f"{options.conf} names, readable by the cloud: ceph auth get client.{options.user}",
        )
    raise _refusal("connect to the Ceph cluster", result)


def _opened(library: Library, cluster: ctypes.c_void_p, name: str, namespace: str) -> Pool:
    context = ctypes.c_void_p()
    result = library.slow.rados_ioctx_create(cluster, name.encode(), context)
    if -result == errno.ENOENT:
        raise RadosError(0, f"There is no pool {name} in the Ceph cluster. Make it: ceph osd pool create {name}")
    if result < 0:
        raise _refusal(f"open the pool {name}", result)
    library.quick.rados_ioctx_set_namespace(context, namespace.encode())
    return Pool(library, cluster, context, name)


def _refusal(what: str, result: int) -> RadosError:
    return RadosError(0, f"Cannot {what} ({errno.errorcode.get(-result, result)}).")
