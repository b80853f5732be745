# SPDX-License-Identifier: Apache-2.0
"""Operations of a resource, as values: what path, what rule, what function.

A handler is `fn(call) -> result`. The result is a row or mapping (rendered by the resource's view), a
list of them (for lists), a `Reply` (sent as it is) or None (an empty body). A handler may be left out
for plain create, list, show, update and delete: the kernel then works on `Resource.row`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.versions import Version, parse_version

Handler = Callable[[Any], Any]
Transaction = Literal["read", "write", "none"]


class Reply:
    """A finished answer. `body` is JSON-able, bytes, or None; `stream` an iterable of bytes."""

    __slots__ = ("body", "content_type", "headers", "length", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        stream: Iterable[bytes] | None = None,
        length: int | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status, self.body, self.stream, self.length = status, body, stream, length
        self.headers = dict(headers or {})
        self.content_type = content_type


class Op:
    """One operation. `path` follows the resource's own path and may hold `{names}`.

    rule, persona   policy rule (None: no rule is asked) and who it allows by default
    handler         function of the call; None for the kernel's own
    status          of the answer when it succeeds
    tx              transaction around the handler: read, write or none (it opens its own)
    body            JSON schema of the whole request body; None for fields or nothing
    query           JSON schemas of query parameters, by name (closed: others are refused);
                    None takes everything
    since, until    microversions
    public          True: needs no token
    beyond_access_rules
                    True: every token may be used for it, whatever its access rules say
    stream          "in", "out" or "": bytes instead of JSON
    beside          schemas of members that may stand beside the resource's own in a create or update body
                    (handlers find them in `call.raw`)
    own_row         False: `{id}` does not name a row of the resource, so none is loaded first
    bulk            a create that also takes `{"<many>": [...]}`: `call.body` is then a list
    """

    kind = "op"

    def __init__(
        self,
        method: str,
        path: str,
        rule: str | None,
        persona: Persona | str,
        handler: Handler | None = None,
        *,
        status: int = 200,
        tx: Transaction | None = None,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        since: str | None = None,
        until: str | None = None,
        public: bool = False,
        beyond_access_rules: bool = False,
        stream: str = "",
        own_row: bool = True,
        only: tuple[str, ...] = (),
        quota: str | None = None,
        target: Handler | None = None,
        beside: dict[str, Any] | None = None,
        bulk: bool = False,
        doc: str = "",
    ) -> None:
        self.method, self.path, self.rule, self.handler, self.status = method, path, rule, handler, status
        self.persona = persona if isinstance(persona, Persona) else Persona(persona, persona)
        self.tx: Transaction = tx or ("read" if method in {"GET", "HEAD"} else "write")
        self.body, self.query, self.public, self.stream = body, query, public, stream
        self.since: Version | None = parse_version(since) if since else None
        self.until: Version | None = parse_version(until) if until else None
        self.own_row, self.only, self.quota, self.target, self.doc = own_row, only, quota, target, doc
        self.beside = beside or {}
        self.beyond_access_rules = beyond_access_rules
        self.bulk = bulk
        self.name = ""
        self.resource: Any = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def exists_at(self, version: Version | None) -> bool:
        if version is None:
            return True
        return not ((self.since and version < self.since) or (self.until and version > self.until))

    def describe(self) -> str:
        return f"{self.method} {self.resource.path if self.resource else ''}{self.path}"


class Create(Op):
    """`POST <path>`; 201 unless said otherwise."""

    kind = "create"

    def __init__(
        self, rule: str | None, persona: Persona | str, handler: Handler | None = None, **options: Any
    ) -> None:
        super().__init__("POST", options.pop("path", ""), rule, persona, handler, **{"status": 201, **options})


class List(Op):
    """`GET <path>`. `only` names the fields of a brief view; `path="/detail"` for the long one."""

    kind = "list"

    def __init__(
        self, rule: str | None, persona: Persona | str, handler: Handler | None = None, **options: Any
    ) -> None:
        super().__init__("GET", options.pop("path", ""), rule, persona, handler, **options)


class Show(Op):
    kind = "show"

    def __init__(
        self, rule: str | None, persona: Persona | str, handler: Handler | None = None, **options: Any
    ) -> None:
        super().__init__("GET", options.pop("path", "/{id}"), rule, persona, handler, **options)


class Update(Op):
    """`PUT <path>/{id}`, or PATCH with `method="PATCH"`."""

    kind = "update"

    def __init__(
        self, rule: str | None, persona: Persona | str, handler: Handler | None = None, **options: Any
    ) -> None:
        method = options.pop("method", "PUT")
        super().__init__(method, options.pop("path", "/{id}"), rule, persona, handler, **options)


class Delete(Op):
    kind = "delete"

    def __init__(
        self, rule: str | None, persona: Persona | str, handler: Handler | None = None, **options: Any
    ) -> None:
        super().__init__("DELETE", options.pop("path", "/{id}"), rule, persona, handler, **{"status": 204, **options})


class Action(Op):
    """`POST <path>/{id}/action` with `{"<action>": ...}`. `body` is the schema of that member's value.

    `raw_body=True` hands over bodies with more than one member (compute's few oddities).
    """

    kind = "action"

    def __init__(self, action: str, rule: str | None, persona: Persona | str, handler: Handler, **options: Any) -> None:
        self.action = action
        super().__init__(
            "POST", options.pop("path", "/{id}/action"), rule, persona, handler, **{"status": 202, **options}
        )
