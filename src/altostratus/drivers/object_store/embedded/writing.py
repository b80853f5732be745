# SPDX-License-Identifier: Apache-2.0
"""What was received is written while the next bytes are received and hashed: two things that need no interpreter."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from types import TracebackType
from typing import Self

# handed over at once; a slow upload holds no more than twice this
BATCH_BYTES = 256 * 1024


class WritingBehind:
    """`with WritingBehind(threads, write) as writing: writing.add(piece)`; at its end everything is written.

    `write(pieces)` is called by one thread at a time, in order; what it raises is raised by a later `add` or at the
    end. What fits into one batch is written at the end, as one piece, by the thread that added it.
    """

    def __init__(self, threads: Executor, write: Callable[[list[bytes]], None]) -> None:
        self._threads, self._write = threads, write
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._behind: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, piece: bytes) -> None:
        if self._held_bytes + len(piece) > BATCH_BYTES:
            self._join()
            pieces, self._held, self._held_bytes = self._held, [], 0
            self._behind = self._threads.submit(self._write, pieces)
        self._held.append(piece)
        self._held_bytes += len(piece)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if self._behind is not None:
                wait([self._behind])  # the files must not be closed under its hands
            return
        self._join()
        self._write([b"".join(self._held)])

    def _join(self) -> None:
        if self._behind is not None:
            behind, self._behind = self._behind, None
            behind.result()
