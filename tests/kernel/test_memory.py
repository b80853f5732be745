# SPDX-License-Identifier: Apache-2.0
"""What the C library keeps: little, but enough that pieces of downloads are not taken from the system each time."""

import subprocess
import sys

_FAULTS = """
import resource, threading
from altostratus.kernel import memory
{set_up}

def pieces(count):
    for _ in range(count):
        bytes(512 * 1024), bytes(512 * 1024)

def in_a_thread(count):
    thread = threading.Thread(target=pieces, args=(count,))
    thread.start()
    thread.join()

in_a_thread(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
in_a_thread(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_KEPT = """
from altostratus.kernel import memory
memory.set_up()
pages = lambda: int(open("/proc/self/statm").read().split()[1])
for _ in range(10):
    bytes(19 * 1024 * 1024)
before = pages()
held = [bytes(b"x" * 19 * 1024 * 1024) for _ in range(3)]
assert pages() - before > 3 * 4000
held.clear()
print(pages() - before)
"""


def _number(code: str) -> int:
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_pieces_of_downloads_find_the_memory_of_those_before() -> None:
    """Two pieces at a time are 256 pages: 100 times that if each was taken from the system."""
    assert _number(_FAULTS.format(set_up="memory.set_up()")) < 2_000


def test_large_blocks_are_given_back() -> None:
    assert _number(_KEPT) < 500
