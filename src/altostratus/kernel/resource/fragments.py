# SPDX-License-Identifier: Apache-2.0
"""Rendered JSON of rows, kept until the row changes.

A list of a hundred rich rows costs most of its time in making the same JSON again and again. A table
with an `etag` column (a new random text at every change of anything the view shows) lets a list read
only ids and etags, and take the JSON from here.
"""

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec

from altostratus.kernel import ids

_encode = msgspec.json.Encoder(order=None).encode
_ETAG_BYTES = 9


def new_etag() -> str:
    """Never the same twice, so that an entry can only be stale by not being found."""
    return ids.new_secret(_ETAG_BYTES)


class Fragments:
    """At most `most` rendered rows; the longest known half goes when there are more. Thread-safe."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._known: dict[Hashable, msgspec.Raw] = {}
        self._lock = threading.Lock()

    def many(
        self,
        shape: Hashable,
        rows: Iterable[tuple[str, str]],
        render: Callable[[list[str]], dict[str, Any]],
    ) -> list[msgspec.Raw]:
        """JSON of `rows` (id, etag) in their order; `render(ids)` makes what is not known, by id.

        `shape` is everything else that the JSON depends on: microversion, rights, base URL. A row that
        `render` does not find (deleted meanwhile) is left out.
        """
        known = self._known
        keys = [(shape, id, etag) for id, etag in rows]
        found = [known.get(key) for key in keys]
        missing = [key for key, fragment in zip(keys, found, strict=True) if fragment is None]
        if missing:
            made = render([key[1] for key in missing])
            with self._lock:
                if len(known) + len(missing) > self._most:
                    for old in list(known)[: self._most // 2]:
                        known.pop(old, None)
                for key in missing:
                    if key[1] in made:
                        known[key] = msgspec.Raw(_encode(made[key[1]]))
                found = [fragment or known.get(key) for key, fragment in zip(keys, found, strict=True)]
        return [fragment for fragment in found if fragment is not None]
