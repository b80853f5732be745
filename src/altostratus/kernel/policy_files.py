# SPDX-License-Identifier: Apache-2.0
"""Operators' policy files: which are there, whether they changed, and what is wrong with them.

A file is one mapping of rule names to check strings, in YAML or JSON. What cannot be understood is an error
with its place; oslo.policy alone would make a rule that refuses everybody of it.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oslo_policy import _checks, _parser, policy

from altostratus.kernel import log
from altostratus.kernel.policy_checks import leaves

NOBODY = "!"
_log = log.get("policy")
# what it cannot parse is told here, in one line and with its place, instead of with a traceback
logging.getLogger("oslo_policy._parser").setLevel(logging.CRITICAL)


class PolicyFileError(Exception):
    """Files that cannot be used; `problems` are sentences that begin with the path."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class PolicyFiles:
    """The files of one service, the weakest first."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._seen: tuple[Any, ...] | None = None

    def existing(self) -> list[Path]:
        return [path for path in self._paths if _is_there(path)]

    def changed(self) -> bool:
        """Is any of them new, gone or different since the last time this was asked?"""
        now = tuple(_mark(path) for path in self._paths)
        before, self._seen = self._seen, now
        return now != before

    def read(self) -> dict[str, tuple[Any, Path]]:
        """(check, file) by rule name. Raises PolicyFileError with all that is wrong."""
        found: dict[str, tuple[Any, Path]] = {}
        problems: list[str] = []
        for path in self.existing():
            try:
                rules = read_file(path)
            except PolicyFileError as error:
                problems += error.problems
            else:
                found |= {name: (check, path) for name, check in rules.items()}
        if problems:
            raise PolicyFileError(problems)
        return found


def read_file(path: Path) -> dict[str, Any]:
    """oslo.policy's checks by rule name. Raises PolicyFileError."""
    try:
        content: Any = policy.parse_file_contents(path.read_text())
    except OSError as error:
        raise PolicyFileError([f"{path}: {error.strerror}"]) from None
    except ValueError as error:
        raise PolicyFileError([f"{path}{_place(error)}"]) from None
    if not isinstance(content, dict):
        raise PolicyFileError([f"{path}: must be a mapping of rule names to check strings"])
    checks: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in content.items():
        if not isinstance(name, str) or not isinstance(text, str | list):
            problems.append(f"{path}: rule {name!r}: the check must be a string in quotation marks, not {text!r}")
            continue
        checks[name] = check = _parsed(text)
        if isinstance(check, _checks.FalseCheck) and text != NOBODY:
            problems.append(
                f"{path}: rule {name!r}: {text!r} is not in the policy language (role:, rule:, and, or ...)"
            )
    if problems:
        raise PolicyFileError(problems)
    return checks


def _place(error: ValueError) -> str:
    """Where the text is broken and why; oslo.policy keeps the parser's own error as the context of its."""
    mark = getattr(error.__context__, "problem_mark", None)
    if mark is None:
        return f": {' '.join(str(error).split())}"
    return f", line {mark.line + 1}, column {mark.column + 1}: {getattr(error.__context__, 'problem', error)}"


class _Anything(dict[str, str]):
    """A target that has every attribute."""

    def __missing__(self, key: str) -> str:
        return "x"


def _parsed(text: Any) -> Any:
    """The check; one that nobody passes if it cannot be parsed, or would raise when somebody asks."""
    try:
        check = _parser.parse_rule(text)
        for leaf in leaves(check):
            if isinstance(leaf, _checks.GenericCheck | _checks.RoleCheck):
                ask: Any = leaf
                ask(_Anything(), {}, None)
    except (TypeError, ValueError, AttributeError, LookupError, SyntaxError, RecursionError, MemoryError):
        return _checks.FalseCheck()
    return check


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        _log.warning("policy files in %s are not used: this process may not look into that folder", path.parent)
        return False


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
