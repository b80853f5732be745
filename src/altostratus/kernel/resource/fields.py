# SPDX-License-Identifier: Apache-2.0
"""Fields of a resource: one declaration gives schema, default, filter, column and view.

`on` says where a field lives: c(reate) u(pdate) r(ead) f(ilter) s(ort). `guard` says where the policy
rule `<rule of the operation>:<wire name>` must allow it: c, u and r likewise.
"""

import ipaddress
from collections.abc import Callable
from copy import copy
from typing import Any, Final

from altostratus.kernel.resource.versions import Version, parse_version


class Missing:
    """Marks "no default": the member stays absent."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

Source = str | Callable[[Any, Any], Any]


class Field:
    """One member of a resource's JSON.

    `schema` validates the member in requests. `source` is the attribute the view reads: a name
    (default: the field's own) or a function of (attributes, call). `form` renders the value, `parse`
    turns a valid request value into what logic sees. `wire` is the JSON name if it differs.
    """

    def __init__(
        self,
        schema: dict[str, Any],
        on: str,
        *,
        required: bool = False,
        default: Any = MISSING,
        nullable: bool = False,
        since: str | None = None,
        until: str | None = None,
        source: Source | None = None,
        form: Callable[[Any], Any] | None = None,
        parse: Callable[[Any], Any] | None = None,
        wire: str | None = None,
        guard: str = "",
        doc: str = "",
    ) -> None:
        self.schema, self.on, self.required, self.default, self.nullable = schema, on, required, default, nullable
        self.since = parse_version(since) if since else None
        self.until = parse_version(until) if until else None
        self.source, self.form, self.parse, self.wire, self.guard, self.doc = (
            source,
            form,
            parse,
            wire or "",
            guard,
            doc,
        )
        self.name = ""
        self._changes: list[tuple[Version, dict[str, Any]]] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.wire = self.wire or name

    def changed(self, since: str, **attributes: Any) -> "Field":
        """The same field with other attributes from microversion `since` on, e.g. `required=True`."""
        self._changes.append((parse_version(since), attributes))
        return self

    def at(self, version: Version | None) -> "Field | None":
        """The field as it is at `version`; None if it does not exist there."""
        if version is None:
            return self
        if (self.since and version < self.since) or (self.until and version > self.until):
            return None
        applying = [attributes for since, attributes in self._changes if version >= since]
        if not applying:
            return self
        shown = copy(self)
        for attributes in applying:
            for name, value in attributes.items():
                setattr(shown, name, value)
        return shown

    def request_schema(self) -> dict[str, Any]:
        if not self.nullable:
            return self.schema
        if "type" in self.schema and "enum" not in self.schema and "anyOf" not in self.schema:
            kinds = self.schema["type"]
            return {**self.schema, "type": [*(kinds if isinstance(kinds, list) else [kinds]), "null"]}
        return {"anyOf": [self.schema, {"type": "null"}]}


def Text(minimum: int, maximum: int, on: str, *, pattern: str | None = None, **options: Any) -> Field:  # noqa: N802
    """A string of `minimum` to `maximum` characters."""
    schema: dict[str, Any] = {"type": "string", "minLength": minimum, "maxLength": maximum}
    if pattern:
        schema["pattern"] = pattern
    return Field(schema, on, **options)


def Int(minimum: int | None, maximum: int | None, on: str, **options: Any) -> Field:  # noqa: N802
    """A whole number; text of digits is taken as well, as upstream's services do."""
    schema: dict[str, Any] = {"type": ["integer", "string"], "pattern": "^-?[0-9]+$"}
    if minimum is not None:
        schema["minimum"] = minimum
    if maximum is not None:
        schema["maximum"] = maximum

    def parse(value: Any) -> int | None:
        if value is None:
            return None
        number = int(value)
        if minimum is not None and number < minimum:
            raise ValueError(f"{number} is less than the minimum of {minimum}")
        if maximum is not None and number > maximum:
            raise ValueError(f"{number} is greater than the maximum of {maximum}")
        return number

    return Field(schema, on, **{"parse": parse, **options})


TRUE_WORDS = ("true", "1", "yes", "on", "t", "y")
FALSE_WORDS = ("false", "0", "no", "off", "f", "n")


def parse_bool(value: Any) -> bool | None:
    """Booleans as upstream's clients send them: JSON booleans, 0 and 1, and words. Raises ValueError."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"{value!r} is not a boolean; use true or false")


def Bool(on: str, **options: Any) -> Field:  # noqa: N802
    schema = {"type": ["boolean", "string", "integer"], "pattern": "^(?i:true|false|1|0|yes|no|on|off|t|f|y|n)$"}
    return Field({**schema, "minimum": 0, "maximum": 1}, on, **{"parse": parse_bool, **options})


def Choice(*values: Any, on: str, **options: Any) -> Field:  # noqa: N802
    return Field({"enum": list(values)}, on, **options)


UUID_PATTERN = "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"


def Uuid(on: str, **options: Any) -> Field:  # noqa: N802
    return Field({"type": "string", "pattern": UUID_PATTERN}, on, **options)


def Id(on: str = "rfs", **options: Any) -> Field:  # noqa: N802
    """The identifier the service gave."""
    return Field({"type": "string", "maxLength": 255}, on, **options)


def Time(on: str = "rs", **options: Any) -> Field:  # noqa: N802
    """A timestamp; give `form=clock.iso_z` or the like for the service's spelling."""
    return Field({"type": "string", "maxLength": 40}, on, **options)


def Object(on: str, schema: dict[str, Any] | None = None, **options: Any) -> Field:  # noqa: N802
    return Field(schema or {"type": "object"}, on, **options)


def ListOf(items: dict[str, Any], on: str, *, maximum: int = 1000, unique: bool = False, **options: Any) -> Field:  # noqa: N802
    schema: dict[str, Any] = {"type": "array", "items": items, "maxItems": maximum}
    if unique:
        schema["uniqueItems"] = True
    return Field(schema, on, **options)


def Ip(on: str, **options: Any) -> Field:  # noqa: N802
    """An IPv4 or IPv6 address, stored in its shortest spelling."""
    parse: Callable[[Any], Any] = lambda value: None if value is None else str(ipaddress.ip_address(value))  # noqa: E731
    return Field({"type": "string", "maxLength": 64}, on, **{"parse": parse, **options})


def Computed(source: Callable[[Any, Any], Any], **options: Any) -> Field:  # noqa: N802
    """Read-only, made by a function of (attributes, call); `MISSING` leaves the member out."""
    return Field({}, "r", source=source, **options)
