# SPDX-License-Identifier: Apache-2.0
"""Metadata in headers: `X-<Kind>-Meta-<Name>` sets, `X-Remove-<Kind>-Meta-<Name>` takes away."""

from collections.abc import Mapping
from typing import Any, Literal

from altostratus.kernel.errors import BadRequest
from altostratus.services.object_store.config import ObjectStoreOptions

Kind = Literal["ACCOUNT", "CONTAINER", "OBJECT"]


def given(headers: Mapping[str, str], kind: Kind) -> dict[str, str]:
    """Names in lower case with their values; an empty one takes the item away (objects: keeps it, empty)."""
    setting, removing = f"X-{kind}-META-", f"X-REMOVE-{kind}-META-"
    found = {name[len(setting) :].lower(): value for name, value in headers.items() if name.startswith(setting)}
    if kind != "OBJECT":
        found |= {name[len(removing) :].lower(): "" for name in headers if name.startswith(removing)}
    return found


def merged(before: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in {**before, **changes}.items() if value != ""}


def demand_limits(options: ObjectStoreOptions, meta: Mapping[str, Any]) -> None:
    """Raises BadRequest for too long names or values, too many of them, and names that are no names."""
    whole = 0
    for name, value in meta.items():
        if not name:
            raise BadRequest("Metadata name cannot be empty.")
        if len(name) > options.max_meta_name_length:
            raise BadRequest(f"Metadata name too long: {name[:40]}...; the most is {options.max_meta_name_length}.")
        if len(value) > options.max_meta_value_length:
            raise BadRequest(f"Metadata value longer than {options.max_meta_value_length}: {name}.")
        _demand_utf8(name)
        _demand_utf8(value)
        whole += len(name) + len(value)
    if len(meta) > options.max_meta_count:
        raise BadRequest(f"Too many metadata items; max {options.max_meta_count}.")
    if whole > options.max_meta_overall_size:
        raise BadRequest(f"Total metadata too large; max {options.max_meta_overall_size} bytes.")


def shown(meta: Mapping[str, Any], kind: Kind) -> dict[str, str]:
    """As headers of a reply."""
    return {f"X-{kind.title()}-Meta-{name.title()}": str(value) for name, value in meta.items()}


def _demand_utf8(text: str) -> None:
    """A header's text holds one character for each byte that came."""
    try:
        text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise BadRequest("Metadata must be valid UTF-8.") from None
