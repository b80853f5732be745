# SPDX-License-Identifier: Apache-2.0
"""How the C library keeps memory that the process gave back, set once at its start.

Left alone, glibc comes to keep the 19 MiB of a password's hash in every thread that ever made one: 240 MB in a process
with twelve threads. And told only where large blocks begin, it returns everything else to the system at once: each
large download then takes and returns the same few hundred pages, at the price of a quarter of its processor time.
Other C libraries have no such knobs, and no such habits.
"""

import ctypes

# of malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# blocks from this size on are taken from the system, and returned to it, each time
_LARGE_BYTES = 1024 * 1024
# what each heap (there are few, for all threads) may keep at its end: some pieces of a large download
_KEPT_BYTES = 2 * 1024 * 1024


def set_up() -> None:
    """For this process."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
