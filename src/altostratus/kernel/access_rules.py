# SPDX-License-Identifier: Apache-2.0
"""What a token may be used for, when its owner has said so: service types, methods and patterns of paths.

Patterns are those of keystonemiddleware's `auth_token`: `*` and `{any_name}` stand for one part of the path, `**`
for any text with slashes in it. Users write them, so none becomes a regular expression: matching takes a time that
grows with the lengths of pattern and path, never faster.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from altostratus.kernel.errors import Unauthorized

_ONE_PART, _ANYTHING = "*", "**"
_PIECES = re.compile(r"\{[^}]*\}|\*\*|\*|[^{*]+|\{")


class AccessRule(NamedTuple):
    """`service` is a type as in the catalog, `path` a pattern without the host ("/v2.1/servers/{server_id}")."""

    service: str
    method: str
    path: str


class Asked(NamedTuple):
    """A request as rules look at it. `path` is what was asked for, with the place of the service (`root`) in front.

    A slash at the end is there only where it counts: as a part of a name.
    """

    service_types: tuple[str, ...]
    root: str
    method: str
    path: str
    slash_counts: bool = False


class AccessRules:
    """The rules of one token; what none of them allows is refused."""

    def __init__(self, rules: Iterable[AccessRule]) -> None:
        self.rules = frozenset(rules)
        self._patterns = [(rule, pieces_of(rule.path), pieces_of(without_slash(rule.path))) for rule in self.rules]

    def demand(self, asked: Asked) -> None:
        """Raises Unauthorized, as keystonemiddleware does, unless a rule allows what is asked."""
        if not self.allow(asked):
            raise Unauthorized(
                f"The access rules of this application credential do not allow {asked.method} {_below(asked)} of the"
                f" service {asked.service_types[0]}. Use a credential that has a rule for it."
            )

    def allow(self, asked: Asked) -> bool:
        """Rules may name the path with the place of the service or without it."""
        spellings = {asked.path, _below(asked)}
        return any(
            rule.service in asked.service_types
            and rule.method == asked.method
            and any(matches(exact if asked.slash_counts else loose, path) for path in spellings)
            for rule, exact, loose in self._patterns
        )


def without_slash(path: str) -> str:
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


def pieces_of(pattern: str) -> tuple[str, ...]:
    """Literal text and wildcards in their order."""
    return tuple(
        _ONE_PART if piece.startswith("{") and piece.endswith("}") else piece for piece in _PIECES.findall(pattern)
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


def _below(asked: Asked) -> str:
    return asked.path.removeprefix(asked.root) if asked.path.startswith(f"{asked.root}/") else asked.path


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
