# SPDX-License-Identifier: Apache-2.0
"""Which rule somebody means: by its name, by a method and path, or in plain words."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.service import Service

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_VERBS = {"op": "", "index": "list", "give": "add", "take": "remove", "make": "create", "change": "update"}
_MOST_NAMED = 8


class Found(NamedTuple):
    """A service and one of its rules; `rule` None: no rule is asked before the operation looks closer."""

    service: Service
    rule: str | None
    public: bool = False


def find_rule(services: Iterable[Service], words: str) -> Found:
    """Raises NotFound, or BadRequest with the candidates if several rules could be meant."""
    everything = list(services)
    text = " ".join(words.split())
    for service in everything:
        if any(rule.name == text for rule in service.declared_rules()):
            return Found(service, text)
    method, _, rest = text.partition(" ")
    found = _by_path(everything, method, rest) if method.upper() in _METHODS and "/" in rest else []
    return _only(found or _by_words(everything, text), text)


def _only(found: list[tuple[Service, Op]], text: str) -> Found:
    rules = list(dict.fromkeys(Found(service, op.rule, op.public) for service, op in found))
    if not rules:
        raise NotFound(
            f"Nothing is known by {text!r}. Give a rule (os_compute_api:servers:create), a request "
            "('POST /compute/v2.1/servers'), or words ('create server')."
        )
    if len(rules) > 1:
        named = ", ".join(sorted(f"{one.rule}" for one in rules)[:_MOST_NAMED])
        more = f" and {len(rules) - _MOST_NAMED} more" if len(rules) > _MOST_NAMED else ""
        raise BadRequest(f"{text!r} can mean several rules; name one of them: {named}{more}.")
    return rules[0]


def _by_path(services: list[Service], method: str, rest: str) -> list[tuple[Service, Op]]:
    """Operations of the path; after an action's path its name may follow."""
    target, _, action = rest.partition(" ")
    path = urlsplit(target).path.rstrip("/") or "/"
    return [
        (service, op)
        for service in services
        for op in service.operations()
        if op.method == {"HEAD": "GET"}.get(method.upper(), method.upper())
        and (not action or (isinstance(op, Action) and op.action == action))
        and any(re.fullmatch(pattern, path) for pattern in _patterns(service, op))
    ]


def _patterns(service: Service, op: Op) -> list[str]:
    """The whole path of an operation, and its path below the service's version."""
    below = (op.resource.path or "") + op.path
    prefix = service.root if below.startswith("!") else service.path
    below = below.removeprefix("!")
    project = "(/[0-9a-f]{32})?" if service.project_in_path else ""
    shown = re.sub(r"\{[^}]+\}", "[^/]+", below)
    return [f"{re.escape(prefix)}{project}{shown}", shown or "/"]


def _by_words(services: list[Service], text: str) -> list[tuple[Service, Op]]:
    """Operations whose verb and resource are exactly these words; else those where all the words occur."""
    asked = {_singular(word) for word in re.findall(r"[a-z0-9]+", text.lower())}
    operations = [(service, op) for service in services for op in service.operations() if op.rule]
    exact = [(service, op) for service, op in operations if any(asked == words for words in _names(op))]
    # what compute passes on to others for old clients (os-volumes ...) is hardly meant
    meant = [(service, op) for service, op in exact if not op.resource.path.startswith("/os-")]
    return meant or exact or [(service, op) for service, op in operations if asked and asked <= _all_words(op)]


def _names(op: Op) -> list[set[str]]:
    verbs = {op.kind, _VERBS.get(op.name, op.name)} | ({op.action} if isinstance(op, Action) else set())
    resource = {_singular(word) for word in re.findall(r"[a-z0-9]+", op.resource.what.lower())}
    return [{*re.findall(r"[a-z0-9]+", verb.lower()), *resource} for verb in verbs if verb]


def _all_words(op: Op) -> set[str]:
    text = f"{op.rule} {op.doc} {op.handler.__doc__ if op.handler else ''} {op.resource.what}"
    found = {_singular(word) for word in re.findall(r"[a-z0-9]+", text.lower())}
    return found.union(*_names(op))


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word
