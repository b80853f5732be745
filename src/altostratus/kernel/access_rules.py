# SPDX-License-Identifier: Apache-2.0
"""What a token may be used for, when its owner has said so: service types, methods and patterns of paths.

Patterns are those of keystonemiddleware's `auth_token`: `*` and `{any_name}` stand for one part of the path, `**`
for any text with slashes in it. Users write them, so none becomes a regular expression: matching takes a time that
grows with the lengths of pattern and path, never faster.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_ONE_PART, _ANYTHING = "*", "**"
_PIECES = re.compile(r"\{[^}]*\}|\*\*|\*|[^{*]+|\{")


class AccessRule(NamedTuple):
    """`service` is a type as in the catalog, `path` a pattern without the host ("/v2.1/servers/{server_id}")."""

    service: str
    method: str
    path: str


class AccessRules:
    """The rules of one token; what none of them allows is refused."""

    def __init__(self, rules: Iterable[AccessRule]) -> None:
        self.rules = frozenset(rules)
        self._patterns = [(rule.service, rule.method, pieces_of(rule.path)) for rule in self.rules]

    def allow(self, service_types: Iterable[str], method: str, paths: Iterable[str]) -> bool:
        """`paths` are spellings of one path: with and without the place of the service."""
        types, spellings = frozenset(service_types), tuple(paths)
        return any(
            known in types and allowed == method and any(matches(pieces, path) for path in spellings)
            for known, allowed, pieces in self._patterns
        )


def pieces_of(pattern: str) -> tuple[str, ...]:
    """Literal text and wildcards in their order. A slash at the end counts for nothing, as in requests."""
    text = pattern[:-1] if len(pattern) > 1 and pattern.endswith("/") else pattern
    return tuple(
        _ONE_PART if piece.startswith("{") and piece.endswith("}") else piece for piece in _PIECES.findall(text)
    )


def matches(pieces: Iterable[str], path: str) -> bool:
    """Does the whole path match? Keeps the set of positions that can be reached so far."""
    reached = {0}
    for piece in pieces:
        if piece == _ANYTHING:
            reached = set(range(min(reached), len(path) + 1))
        elif piece == _ONE_PART:
            reached = _within_parts(reached, path)
        else:
            reached = {start + len(piece) for start in reached if path.startswith(piece, start)}
        if not reached:
            return False
    return len(path) in reached


def _within_parts(starts: set[int], path: str) -> set[int]:
    """Every position after a start, up to the next slash. Later starts in one part add nothing."""
    reached: set[int] = set()
    done = -1
    for start in sorted(starts):
        if start > done:
            slash = path.find("/", start)
            done = len(path) if slash < 0 else slash
            reached.update(range(start + 1, done + 1))
    return reached
