# SPDX-License-Identifier: Apache-2.0
"""The steps of a scenario: calls of an API and commands of the client, in an order in which each has what it needs.

What a step learns (ids, secrets) is kept under a name, and `{name}` in a later step stands for it.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

Memory = dict[str, str]
_NAME = re.compile(r"\{([a-z0-9_]+)\}")


class Call(NamedTuple):
    """One call, named as upstream's API reference names it: `GET /v3/users/{user_id}`.

    body     JSON, or a text; body, query and headers may be functions, for what must be signed
    keep     `name=place` pairs; a place is a path in the reply (`user.id`, `users.0.id`) or `header.NAME`
    by       whose token it carries: a user of the memory's tokens, or "" for none
    status   the only right one, where any 2xx would not do
    """

    name: str
    body: Any = None
    keep: str = ""
    by: str = "admin"
    query: str | Callable[[Memory], str] = ""
    headers: dict[str, str] | Callable[[Memory, str], dict[str, str]] = {}
    status: int | None = None

    @property
    def method(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.name.partition(" ")[2]


class Typed(NamedTuple):
    """One command as it is typed after `openstack`, or of another client with its name in front.

    keep, by   as in a call
    says       what it prints when it did its work and fails nevertheless, by a mistake of the client
    """

    line: str
    keep: str = ""
    by: str = "admin"
    says: str = ""


class Asked(NamedTuple):
    """One operation of S3, by the name and the arguments that Amazon's client library gives it.

    keep    as in a call
    error   the code of the only right answer, where that is an error
    """

    operation: str
    arguments: dict[str, Any]
    keep: str = ""
    error: str = ""


class Result(NamedTuple):
    """ok, and what was answered: a status code or the first line of an error. None: not offered, and that was told."""

    ok: bool | None
    answer: str


class Scenario(NamedTuple):
    """All of one service.

    prefix      what comes before the paths of the calls
    s3          operations of S3; their paths begin with `s3_path` and are no calls
    files       what commands find in the directory `{files}`
    memory      what calls know from the beginning, beside token_of_USER, user_of_USER and project_of_USER
    passwords, projects   of users who type commands, beside those that every cloud has
    beside      what runs beside the cloud: settings of the cloud, and what calls know of it
    """

    title: str
    prefix: str
    calls: tuple[Call, ...]
    commands: tuple[Typed, ...]
    command_names: tuple[str, ...]
    s3: tuple[Asked, ...] = ()
    s3_path: str = "/s3"
    files: dict[str, str] = {}
    memory: Memory = {}
    passwords: dict[str, str] = {}
    projects: dict[str, str] = {}
    beside: Callable[[], AbstractContextManager[tuple[str, Memory]]] = lambda: nullcontext(("", {}))


def shape(name: str) -> str:
    """The same for two calls that differ only in the names of what varies."""
    return re.sub(r"\{[^}]*\}", "{}", name)


def filled(value: Any, memory: Memory) -> Any:
    """`value` with every known `{name}` in its texts replaced."""
    if isinstance(value, str):
        return _NAME.sub(lambda found: memory.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: filled(one, memory) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, memory) for one in value]
    return value


def learn(keep: str, shown: Any, memory: Memory) -> None:
    """Remember what `keep` asks for. Raises LookupError if the reply does not have it."""
    for pair in keep.split():
        name, _, place = pair.partition("=")
        found = shown
        for part in place.split("."):
            found = found[int(part)] if isinstance(found, list) else found[part]
        memory[name] = str(found)


def command_of(line: str, names: tuple[str, ...]) -> str:
    """The name of the command that `line` types: the longest that it begins with. Raises LookupError."""
    fitting = [name for name in names if line == name or line.startswith(name + " ")]
    if not fitting:
        raise LookupError(f"no known command begins: {line}")
    return max(fitting, key=len)


def first_line(text: str) -> str:
    """Of an error message, without what differs from run to run."""
    line = next((line for line in text.splitlines() if line.strip()), "no message")
    line = re.sub(r"\(Request-ID: [^)]*\)|http://\S+", "", line)
    return re.sub(r"\b[0-9a-f]{32,64}\b", "ID", line).strip()[:200]
