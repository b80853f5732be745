# SPDX-License-Identifier: Apache-2.0
"""Core statements that are made once and run often, in the words of SQLite's own driver.

SQLAlchemy takes 40 microseconds to run a statement that SQLite answers in 5: fine for a list, too much for the five
statements of an upload. A `Prepared` statement is compiled once; values go in and rows come out as through SQLAlchemy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Dialect, Row
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

Change = Callable[[Any], Any] | None


class Prepared:
    """`statement`, for values of its `bindparam`s, or of the columns `names` of an INSERT or UPDATE.

    Raises ValueError for what cannot be compiled once: IN of lists, columns whose defaults are functions.
    """

    def __init__(self, statement: Any, dialect: Dialect, names: Sequence[str] | None = None) -> None:
        made = statement.compile(dialect=dialect, column_keys=names)
        if not isinstance(made, SQLCompiler) or made.post_compile_params or made.positiontup is None:
            raise ValueError(f"cannot be prepared: {statement}")
        self.text = made.string
        self._names = made.positiontup
        self._fixed = {name: value for name, value in made.params.items() if value is not None} | _defaults(made)
        self._binds = [made.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in self._names]
        columns = made._result_columns
        processors = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._processors = processors if any(processors) else None
        self._parent = SimpleResultMetaData([column.keyname for column in columns])
        self._index = self._parent._key_to_index

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """In the order of the question marks. Raises KeyError for one that is missing."""
        found = []
        for name, change in zip(self._names, self._binds, strict=True):
            value = given[name] if name in given else self._fixed[name]
            found.append(value if change is None else change(value))
        return found

    def row(self, found: tuple[Any, ...]) -> Row[Any]:
        return Row(self._parent, self._processors, self._index, found)


def _defaults(made: SQLCompiler) -> dict[str, Any]:
    """Values of columns that the statement does not name."""
    columns: list[Column[Any]] = [*made.insert_prefetch, *made.update_prefetch]
    found = {}
    for column in columns:
        default = column.default
        if default is None or not default.is_scalar:
            raise ValueError(f"cannot be prepared: {column} has a default that is made anew each time")
        found[column.key] = default.arg  # type: ignore[attr-defined]
    return found
