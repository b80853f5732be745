# SPDX-License-Identifier: Apache-2.0
"""The functions of librados (Ceph's C library, version 15 or newer) that are used, with their types."""

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_ubyte, c_uint64, c_void_p
from typing import Any, NamedTuple

_NAME = "librados.so.2"
# an operation on a full pool is answered at once instead of waiting for room; what frees room is let through
FULL_TRY = 64


class ClusterStat(ctypes.Structure):
    """`struct rados_cluster_stat_t`."""

    _fields_ = [
        ("whole_kib", c_uint64), ("used_kib", c_uint64), ("free_kib", c_uint64), ("objects", c_uint64),
    ]  # fmt: skip


class MissingLibrary(Exception):
    """librados is not on this machine; the message says what to install."""


class Library(NamedTuple):
    """The same functions twice: `slow` lets other threads run meanwhile, which costs more than a short call takes."""

    slow: ctypes.CDLL
    quick: ctypes.PyDLL


# name: (what it gives, what it takes)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "rados_create2": (c_int, [POINTER(c_void_p), c_char_p, c_char_p, c_uint64]),
    "rados_conf_read_file": (c_int, [c_void_p, c_char_p]),
    "rados_conf_set": (c_int, [c_void_p, c_char_p, c_char_p]),
    "rados_connect": (c_int, [c_void_p]),
    "rados_shutdown": (None, [c_void_p]),
    "rados_cluster_stat": (c_int, [c_void_p, POINTER(ClusterStat)]),
    "rados_pool_lookup": (ctypes.c_int64, [c_void_p, c_char_p]),
    "rados_ioctx_create": (c_int, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "rados_ioctx_set_namespace": (None, [c_void_p, c_char_p]),
    "rados_ioctx_get_id": (ctypes.c_int64, [c_void_p]),
    "rados_nobjects_list_open": (c_int, [c_void_p, POINTER(c_void_p)]),
    "rados_nobjects_list_next": (c_int, [c_void_p, POINTER(c_char_p), c_void_p, c_void_p]),
    "rados_nobjects_list_close": (None, [c_void_p]),
    "rados_stat": (c_int, [c_void_p, c_char_p, POINTER(c_uint64), POINTER(c_long)]),
    "rados_aio_create_completion2": (c_int, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "rados_aio_wait_for_complete": (c_int, [c_void_p]),
    "rados_aio_get_return_value": (c_int, [c_void_p]),
    "rados_aio_release": (None, [c_void_p]),
    "rados_create_write_op": (c_void_p, []),
    "rados_release_write_op": (None, [c_void_p]),
    "rados_write_op_create": (None, [c_void_p, c_int, c_char_p]),
    "rados_write_op_write_full": (None, [c_void_p, c_void_p, c_size_t]),
    "rados_write_op_setxattr": (None, [c_void_p, c_char_p, c_void_p, c_size_t]),
    "rados_write_op_remove": (None, [c_void_p]),
    "rados_write_op_omap_set": (None, [c_void_p, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_size_t), c_size_t]),
    "rados_write_op_omap_rm_keys": (None, [c_void_p, POINTER(c_char_p), c_size_t]),
    "rados_aio_write_op_operate": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_void_p, c_int]),
    "rados_create_read_op": (c_void_p, []),
    "rados_release_read_op": (None, [c_void_p]),
    "rados_read_op_read": (None, [c_void_p, c_uint64, c_size_t, c_void_p, POINTER(c_size_t), POINTER(c_int)]),
    "rados_read_op_getxattrs": (None, [c_void_p, POINTER(c_void_p), POINTER(c_int)]),
    "rados_read_op_omap_get_keys2": (
        None, [c_void_p, c_char_p, c_uint64, POINTER(c_void_p), POINTER(c_ubyte), POINTER(c_int)],
    ),
    "rados_aio_read_op_operate": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_int]),
    "rados_getxattrs_next": (c_int, [c_void_p, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)]),
    "rados_getxattrs_end": (None, [c_void_p]),
    "rados_omap_get_next": (c_int, [c_void_p, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)]),
    "rados_omap_get_end": (None, [c_void_p]),
}  # fmt: skip


def load() -> Library:
    """Raises MissingLibrary."""
    try:
        found = Library(ctypes.CDLL(_NAME), ctypes.PyDLL(_NAME))
        for kind in found:
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(kind, name)
                function.restype, function.argtypes = result, arguments
    except OSError as error:
        raise MissingLibrary("Ceph's library is missing. Install it: apt-get install librados2") from error
    except AttributeError as error:
        raise MissingLibrary(f"Ceph's library is too old ({error}). Take librados2 15 or newer.") from error
    return found
