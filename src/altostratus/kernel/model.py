# SPDX-License-Identifier: Apache-2.0
"""The schema: typed models, and JSON in columns."""

from typing import Any

import msgspec
from sqlalchemy import Boolean, Dialect, String, Table, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Json(TypeDecorator[Any]):
    """Any JSON value, stored as text in every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _decode(value)


class Model(DeclarativeBase):
    """Base of every table. Annotations: str 255 wide, dict and list as JSON."""

    type_annotation_map = {str: String(255), dict[str, Any]: Json, list[Any]: Json, bool: Boolean}


def table_of(model: type[Model]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table")
    return table
