# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

import gc

from tests.guardian import Guardian

_guardian = Guardian()


def pytest_unconfigure() -> None:
    _guardian.release()


def pytest_collection_finish() -> None:
    """Modules stay for ever: looking through them for garbage again and again is a fifth of the time of the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
