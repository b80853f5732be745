# SPDX-License-Identifier: Apache-2.0
"""How S3 writes numbers, moments, names and tags."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote
from xml.etree.ElementTree import Element

from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.logic import access, checksums
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.xml import Member, children, text_of

_MOST_TAGS = 10


def owner(account: str) -> Member:
    project = access.project_of(account)
    return ("Owner", [("ID", project), ("DisplayName", project)])


def iso_z(moment_us: int) -> str:
    """Whole seconds, rounded up as in `Last-Modified`: clients compare the two."""
    return datetime.fromtimestamp(-(-moment_us // 1_000_000), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def number_of(call: Call, name: str, most: int, *, least: int = 0) -> int:
    """A parameter's whole number; what is above the most is the most."""
    text = one(call, name)
    return min(whole_number(name, text, least=least), most) if text else most


def whole_number(name: str, text: str, *, least: int = 0) -> int:
    """Raises S3Error for other texts."""
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least:
        raise S3Error("InvalidArgument", f"{name} must be a whole number from {least} on, not {text[:40]!r}.")
    return int(text)


def encoded(call: Call, text: str) -> str:
    """A key as a listing shows it."""
    kind = one(call, "encoding-type")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", "encoding-type can only be url.")
    return quote(text, safe="/-_.~*") if kind else text


def quoted(etag: str) -> str:
    return f'"{etag.strip(chr(34))}"'


def tags_of_header(headers: Mapping[str, str]) -> dict[str, str]:
    """`x-amz-tagging`: name=value&name=value"""
    text = headers.get("X-AMZ-TAGGING", "")
    return checked_tags(parse_qsl(text, keep_blank_values=True)) if text else {}


def checked_tags(pairs: list[tuple[str, str]], *, most: int = _MOST_TAGS) -> dict[str, str]:
    """Raises S3Error for too many, too long ones, or one twice."""
    if len(pairs) > most:
        raise S3Error("InvalidTag", f"There cannot be more than {most} tags.")
    tags = dict(pairs)
    if len(tags) != len(pairs) or any(not 0 < len(name) <= 128 or len(value) > 256 for name, value in pairs):
        raise S3Error("InvalidTag", "Names of tags have 1 to 128 characters, values at most 256, and none comes twice.")
    return tags


def tags_in(asked: Element) -> list[tuple[str, str]]:
    return [(text_of(tag, "Key"), text_of(tag, "Value")) for part in children(asked, "TagSet") for tag in part]


def tag_members(tags: Mapping[str, str]) -> list[Member]:
    return [("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()])]


def checksum_members(made: Mapping[str, str], *, told_type: bool = True) -> list[Member]:
    """As XML tells them."""
    shown: list[Member] = [(f"Checksum{name.upper()}", value) for name, value in made.items()]
    if shown and told_type:
        shown.append(("ChecksumType", checksums.type_of(next(iter(made.values())))))
    return shown


def s3_column(tags: Mapping[str, str], checksums: Mapping[str, str]) -> dict[str, Any] | None:
    found = {name: dict(value) for name, value in (("tags", tags), ("checksums", checksums)) if value}
    return found or None
