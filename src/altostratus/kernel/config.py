# SPDX-License-Identifier: Apache-2.0
"""One TOML file. Every section is a frozen `Section` declared beside the code that reads it.

    class ComputeOptions(Section, name="compute"):
        cpu_allocation_ratio: Annotated[float, Meta(description="vCPUs sold per core", gt=0)] = 4.0

Every option has a working default; an unknown key or a wrong type is refused with its name.
"""

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

__all__ = ["ConfigError", "Meta", "Section", "Settings", "load"]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and what to write instead."""


class _SectionType(msgspec.StructMeta):
    """Lets a section say its name as a class argument (msgspec's own metaclass has a parameter of that name)."""

    def __new__(
        cls, class_name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, *, name: str = "", **options: Any
    ) -> Any:
        made: Any = super().__new__(cls, class_name, bases, namespace, **options)
        if name:
            made.section_name = name
        return made


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, metaclass=_SectionType):
    """Base of every section of the configuration file."""

    section_name: ClassVar[str] = ""


S = TypeVar("S", bound=Section)


class Settings:
    """The loaded sections, found by their type."""

    def __init__(self, sections: Iterable[Section] = ()) -> None:
        self._sections = {type(section): section for section in sections}

    def __getitem__(self, kind: type[S]) -> S:
        found = self._sections.get(kind)
        if found is None:
            found = self._sections[kind] = kind()
        if not isinstance(found, kind):
            raise TypeError(f"{kind.__name__} is not a section")
        return found

    def all(self) -> list[Section]:
        return list(self._sections.values())


def load(path: Path | None, kinds: Iterable[type[Section]], *, only: bool = True) -> Settings:
    """Read the file (None or missing: all defaults). Raises ConfigError with the key's name.

    `only=False` leaves sections alone that are not among `kinds`: for processes that need few of them.
    """
    raw: dict[str, Any] = {}
    if path is not None and path.exists():
        try:
            raw = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    by_name = {kind.section_name: kind for kind in kinds}
    for name in raw if only else ():
        if name not in by_name:
            raise ConfigError(f"{path}: unknown section [{name}]." + _did_you_mean(name, by_name))
    return Settings(_convert(path, kind, raw.get(name, {})) for name, kind in by_name.items())


def _convert(path: Path | None, kind: type[S], values: Any) -> S:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        hint = ""
        if isinstance(values, dict):
            unknown = sorted(set(values) - set(kind.__struct_fields__))
            hint = _did_you_mean(unknown[0], kind.__struct_fields__) if unknown else ""
        raise ConfigError(f"{path}: section [{kind.section_name}]: {error}.{hint}") from error


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(sorted(known))}."
