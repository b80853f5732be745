# SPDX-License-Identifier: Apache-2.0
"""Schemas of what a create (and a rebuild) of a server may carry."""

import ipaddress
from typing import Any

from altostratus.services.compute.api.shared import BOOLEAN, UUID, closed

TAG: dict[str, Any] = {"type": "string", "pattern": "^[^,/]*$", "minLength": 1, "maxLength": 60}
TAGS: dict[str, Any] = {"type": "array", "items": TAG, "maxItems": 50}
FLAVOR_REF: dict[str, Any] = {"type": ["string", "integer"], "minLength": 1}
IP: dict[str, Any] = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
IPV4: dict[str, Any] = {"type": "string", "format": "ipv4"}
IPV6: dict[str, Any] = {"type": "string", "format": "ipv6"}
DISK_CONFIG: dict[str, Any] = {"enum": ["AUTO", "MANUAL"]}
HOSTNAME: dict[str, Any] = {
    "type": "string", "minLength": 2, "maxLength": 63, "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$"
}  # fmt: skip
FQDN: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9\-._]*$"}
POSITIVE: dict[str, Any] = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1, "minLength": 1}
SIZE: dict[str, Any] = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1, "maximum": 0x7FFFFFFF}
BASE64: dict[str, Any] = {
    "type": "string", "maxLength": 65535, "pattern": r"^[A-Za-z0-9+/\s]*={0,2}\s*$"
}  # fmt: skip
CERTIFICATES: dict[str, Any] = {
    "type": ["array", "null"],
    "minItems": 1,
    "maxItems": 50,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 1},
}
PERSONALITY: dict[str, Any] = {
    "type": "array",
    "maxItems": 100,
    "items": closed({"path": {"type": "string"}, "contents": {**BASE64, "maxLength": 1_000_000}}),
}
SECURITY_GROUPS: dict[str, Any] = {
    "type": "array",
    "items": closed({"name": {"type": "string", "minLength": 1, "maxLength": 255}}),
}
_NULLABLE_UUID: dict[str, Any] = {"type": ["string", "null"], "pattern": UUID["pattern"]}
_OLD_MAPPING: dict[str, Any] = {
    "virtual_name": {"type": "string", "maxLength": 255},
    "volume_id": UUID,
    "snapshot_id": UUID,
    "volume_size": SIZE,
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN,
    "no_device": {},
    "connection_info": {"type": "string"},
}
_MAPPING: dict[str, Any] = {
    **_OLD_MAPPING,
    "source_type": {"enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": UUID,
    "destination_type": {"enum": ["local", "volume"]},
    "guest_format": {"type": "string", "maxLength": 255},
    "device_type": {"type": "string", "maxLength": 255},
    "disk_bus": {"type": "string", "maxLength": 255},
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"},
}
LEGACY_MAPPINGS: dict[str, Any] = {"type": "array", "items": closed(_OLD_MAPPING)}


def mappings(*, tag: bool = False, volume_type: bool = False) -> dict[str, Any]:
    """Schema of `block_device_mapping_v2`."""
    more: dict[str, Any] = {"tag": TAG} if tag else {}
    if volume_type:
        more["volume_type"] = {"type": ["string", "null"], "maxLength": 255}
    return {"type": "array", "items": closed({**_MAPPING, **more})}


def canonical_ip(address: str) -> str:
    """The shortest spelling, as upstream stores and shows it."""
    return str(ipaddress.ip_address(address))


def networks(*, words: bool = False, tag: bool = False) -> dict[str, Any]:
    """Schema of `networks`: a list, and with `words` also "auto" or "none"."""
    items = {"fixed_ip": IP, "port": _NULLABLE_UUID, "uuid": UUID if words else {"type": "string"}}
    if tag:
        items["tag"] = TAG
    many = {"type": "array", "items": closed(items)}
    return {"anyOf": [many, {"enum": ["auto", "none"]}]} if words else many


_ONE_OR_MANY: dict[str, Any] = {"anyOf": [UUID, {"type": "array", "items": UUID}]}
HINTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "group": _ONE_OR_MANY,
        "different_host": _ONE_OR_MANY,
        "same_host": _ONE_OR_MANY,
        "query": {"type": ["string", "object"]},
        "build_near_host_ip": IP,
        "cidr": {"type": "string", "pattern": "^/[0-9a-f.:]+$"},
    },
}
