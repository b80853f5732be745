# SPDX-License-Identifier: Apache-2.0
"""`Resource`: the one declaration of a resource. Everything else about it is derived from this.

    class Keypair(Resource, path="/os-keypairs", one="keypair", many="keypairs"):
        \"\"\"An SSH public key that new servers are given.\"\"\"

        row = models.Keypair
        name = Text(1, 255, "cr", required=True)
        index = List("os_compute_api:os-keypairs:index", READER)

Class attributes with a meaning:
    row         the model, for the kernel's own create, list, show, update, delete
    key         the column that `{id}` names (default `id`)
    load        fn(call, rows) -> list of mappings: attributes for the view, in a constant number of queries
    scope       fn(call, statement, listing) -> statement: what the caller can see (default: own project)
    unknown     what happens to unknown members of a request: refuse, ignore or keep (in `call.extra`)
    envelope    fn(error, call or None) -> Reply: a refusal, where it is not the service's usual one
    what        the word for people ("security group"); default: `one` with spaces
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from altostratus.kernel.db import Model
from altostratus.kernel.resource.fields import MISSING, Field
from altostratus.kernel.resource.operations import Op
from altostratus.kernel.resource.versions import Version


class Resource:
    """Base of every declaration. Never instantiated."""

    path: ClassVar[str] = ""
    one: ClassVar[str | None] = None
    many: ClassVar[str | None] = None
    row: ClassVar[type[Model] | None] = None
    key: ClassVar[str] = "id"
    what: ClassVar[str] = ""
    unknown: ClassVar[Literal["refuse", "ignore", "keep"]] = "refuse"
    load: ClassVar[Callable[[Any, list[Any]], list[Any]] | None] = None
    scope: ClassVar[Callable[[Any, Any, bool], Any] | None] = None
    envelope: ClassVar[Callable[[Any, Any], Any] | None] = None
    default_sort: ClassVar[tuple[tuple[str, str], ...]] = ()
    fields: ClassVar[dict[str, Field]] = {}
    operations: ClassVar[tuple[Op, ...]] = ()
    _fields_on: ClassVar[dict[tuple[str, Version | None], list[Field]]] = {}
    readers: ClassVar[dict[Any, Any]] = {}

    def __init_subclass__(cls, path: str = "", one: str | None = None, many: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.path, cls.one, cls.many = path or cls.path, one or cls.one, many or cls.many
        cls.what = cls.__dict__.get("what") or (cls.one or cls.__name__.lower()).replace("_", " ")
        members: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            members |= {name: value for name, value in vars(kind).items() if isinstance(value, Field | Op)}
        cls.fields = {name: value for name, value in members.items() if isinstance(value, Field)}
        cls.operations = tuple(value for name, value in members.items() if isinstance(value, Op))
        cls._fields_on, cls.readers = {}, {}
        for operation in cls.operations:
            operation.resource = cls
        if cls.load is not None:
            cls.load = staticmethod(cls.load)
        if cls.scope is not None:
            cls.scope = staticmethod(cls.scope)
        if cls.envelope is not None:
            cls.envelope = staticmethod(cls.envelope)

    @classmethod
    def fields_on(cls, letter: str, version: Version | None) -> list[Field]:
        known = cls._fields_on.get((letter, version))
        if known is None:
            shown = (field.at(version) for field in cls.fields.values())
            known = cls._fields_on[letter, version] = [field for field in shown if field and letter in field.on]
        return known

    @classmethod
    def request_schema(cls, letter: str, version: Version | None) -> dict[str, Any]:
        """JSON schema of a create (`c`) or update (`u`) body, without the envelope."""
        fields = cls.fields_on(letter, version)
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {field.wire: field.request_schema() for field in fields},
            "additionalProperties": cls.unknown != "refuse",
        }
        required = [field.wire for field in fields if field.required] if letter == "c" else []
        return {**schema, "required": required} if required else schema

    @classmethod
    def parse(cls, letter: str, version: Version | None, given: dict[str, Any]) -> dict[str, Any]:
        """Request members to values by field name; creates get the defaults. Raises ValueError."""
        values: dict[str, Any] = {}
        for field in cls.fields_on(letter, version):
            if field.wire in given:
                value = given[field.wire]
                try:
                    values[field.name] = field.parse(value) if field.parse else value
                except ValueError as error:
                    raise ValueError(
                        f"Invalid input for field/attribute {field.wire}. Value: {value}. {error}."
                    ) from None
            elif letter == "c" and not isinstance(field.default, type(MISSING)):
                values[field.name] = field.default() if callable(field.default) else field.default
        return values

    @classmethod
    def unknown_members(cls, letter: str, version: Version | None, given: dict[str, Any]) -> dict[str, Any]:
        known = {field.wire for field in cls.fields_on(letter, version)}
        return {name: value for name, value in given.items() if name not in known}
