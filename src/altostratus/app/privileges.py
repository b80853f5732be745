# SPDX-License-Identifier: Apache-2.0
"""Who the control process and the guests run as, and how privileges are given up for good.

Started by root, the control process becomes, in this order of preference: an id of its own that owns
nothing else (`[cloud] run_as_uid`); the user behind `sudo`; or, where neither could read the program's
own files (a checkout below /root), root without a single capability. Guests always get an id of their own.
"""

import ctypes
import os
import stat
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import altostratus
from altostratus.app.options import CloudOptions

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63


class Identity(NamedTuple):
    """Ids of a process; `why` says how they were chosen, for people."""

    uid: int
    gid: int
    why: str


def in_user_namespace() -> bool:
    """Root here may be an ordinary user outside: then only one id is mapped."""
    first = Path("/proc/self/uid_map").read_text().split()
    return first[:3] != ["0", "0", "4294967295"]


def can_change_ids() -> bool:
    return os.geteuid() == 0 and not in_user_namespace()


def control_identity(options: CloudOptions) -> Identity:
    """Who the control process runs as."""
    if not can_change_ids():
        return Identity(os.geteuid(), os.getegid(), "the user who started it")
    own = options.run_as_uid
    places = (Path(altostratus.__file__).parent, Path(sysconfig.get_paths()["stdlib"]), *map(Path, _site_packages()))
    if all(readable_by(own, own, place) for place in places):
        return Identity(own, own, "an id of its own")
    sudo_uid, sudo_gid = int(os.environ.get("SUDO_UID", "0")), int(os.environ.get("SUDO_GID", "0"))
    if sudo_uid and all(readable_by(sudo_uid, sudo_gid, place) for place in places):
        return Identity(sudo_uid, sudo_gid, "the user behind sudo")
    hidden = next(place for place in places if not readable_by(own, own, place))
    return Identity(0, 0, f"root without capabilities, because only root may read {hidden}")


def guest_identity(options: CloudOptions) -> tuple[int, int] | None:
    """(uid, gid) of guests: never that of the control process. None where ids cannot be changed."""
    return (options.run_as_uid + 1, options.run_as_uid + 1) if can_change_ids() else None


def _site_packages() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages") and os.path.isdir(path)]


def readable_by(uid: int, gid: int, path: Path) -> bool:
    """May this id enter `path` and every folder above it?"""
    for folder in (path.resolve(), *path.resolve().parents):
        found = folder.stat()
        shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
        if not (stat.S_IMODE(found.st_mode) >> shift) & 1:
            return False
    return True


def drop_privileges(identity: Identity) -> None:
    """Become `identity`, without capabilities and without a way to get any again."""
    if os.geteuid() != 0:
        return
    if can_change_ids():
        os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        if identity.uid == 0:
            _drop_capabilities()
        else:
            os.setresuid(identity.uid, identity.uid, identity.uid)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be given up")
