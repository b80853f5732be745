# SPDX-License-Identifier: Apache-2.0
"""The manifest of a service: one page that names everything it consists of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from altostratus.kernel.config import Section
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import ApiError
from altostratus.kernel.policy import Rule
from altostratus.kernel.quota import Countable
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.operations import Op
from altostratus.kernel.resource.versions import NoVersions, VersionScheme
from altostratus.kernel.resource.view import guarded_fields, read_rule

# (error, call or None) -> (content type, JSON-able body or bytes)
Envelope = Callable[[ApiError, Any], Any]
ResourceType = type[Resource]
SectionType = type[Section]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service.

    type            official service type with underscores ("block_storage"); `catalog_type` if it differs
    name            name in the catalog (nova, cinder ...)
    also_as         further types it is in the catalog as, for clients that look for older or newer names
    catalog_path    path of its catalog URLs, if it is neither `path` (microversioned) nor `root` (others)
    path            where its newest API lies ("/compute/v2.1"); `root` is the part before the version
    old_paths       further paths below which the service answers, without microversions
    strict_paths    `/things/` is a thing with an empty id, so not found; else it is the list
    project_in_path the catalog URL ends in the project id (block storage)
    envelope        fn(error, call) -> JSON of a refusal
    subscriptions   (event prefix, fn(tx, cloud, event)) pairs
    reports         (desired kind, fn(tx, cloud, report)) pairs: what agents observed
    questions       read-only questions agents may ask: (name, fn(cloud, params) -> dict)
    seeds           fn(tx, cloud), run at every start, idempotent: default rows
    edge            fn(WSGI application) -> WSGI application: what must happen before a request is routed
    """

    type: str
    name: str
    title: str
    path: str
    root: str
    resources: tuple[ResourceType, ...]
    envelope: Envelope
    catalog_type: str | None = None
    also_as: tuple[str, ...] = ()
    catalog_path: str | None = None
    in_catalog: bool = True
    policy_namespace: str = ""
    versions: VersionScheme = field(default_factory=NoVersions)
    style: Style = field(default_factory=Style)
    project_in_path: bool = False
    old_paths: tuple[str, ...] = ()
    strict_paths: bool = False
    jobs: tuple[Any, ...] = ()
    reconcilers: tuple[Any, ...] = ()
    quotas: tuple[Countable, ...] = ()
    options: tuple[SectionType, ...] = ()
    rules: tuple[Rule, ...] = ()
    subscriptions: tuple[tuple[str, Callable[..., None]], ...] = ()
    reports: tuple[tuple[str, Callable[..., None]], ...] = ()
    questions: tuple[tuple[str, Callable[..., dict[str, Any]]], ...] = ()
    seeds: tuple[Callable[[Tx, Any], None], ...] = ()
    edge: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    classic_port: int | None = None

    @property
    def catalog_types(self) -> tuple[str, ...]:
        """Its types in the catalog, the first one its own."""
        return (self.catalog_type or self.type.replace("_", "-"), *self.also_as)

    def operations(self) -> Iterator[Op]:
        for resource in self.resources:
            yield from resource.operations

    def declared_rules(self) -> list[Rule]:
        """Every rule its operations and guarded fields name, and the extra ones."""
        found: dict[str, Rule] = {rule.name: rule for rule in self.rules}
        for op in self.operations():
            if op.rule and op.rule not in found:
                same = [other for other in self.operations() if other.rule == op.rule]
                operations = tuple(
                    (other.method, self.path + (other.resource.path or "") + other.path) for other in same
                )
                words = op.doc or (op.handler.__doc__ if op.handler else None) or op.resource.__doc__ or op.rule
                found[op.rule] = Rule(
                    op.rule, op.persona.check, words.strip().splitlines()[0], operations, op.persona.scopes
                )
        for resource in self.resources:
            for rule in _guard_rules(resource):
                found.setdefault(rule.name, rule)
        return list(found.values())


def _guard_rules(resource: ResourceType) -> Iterator[Rule]:
    rules = {"r": read_rule(resource)}
    rules |= {op.kind[0]: op.rule for op in resource.operations if op.kind in ("create", "update") and op.rule}
    for letter, name in rules.items():
        for guarded in guarded_fields(resource, letter) if name else ():
            yield Rule(f"{name}:{guarded.wire}", "rule:context_is_admin", f"{guarded.wire} of a {resource.what}.")
