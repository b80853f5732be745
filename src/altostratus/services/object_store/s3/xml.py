# SPDX-License-Identifier: Apache-2.0
"""XML out and in. What comes in is small, has no document type and so no entities of its own."""

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
# (name, value): text, a number, yes or no, members, or None for nothing at all
Member = tuple[str, Any]


def document(name: str, members: Sequence[Member], *, bare: bool = False) -> bytes:
    """`bare`: without the name space, as errors are."""
    space = "" if bare else f' xmlns="{_NAMESPACE}"'
    return f"{_HEAD}<{name}{space}>{''.join(map(_element, members))}</{name}>".encode("utf-8", "replace")


def _element(member: Member) -> str:
    name, value = member
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        inner = "".join(map(_element, value))
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(str(value), {"\r": "&#13;"})
    return f"<{name}>{inner}</{name.partition(' ')[0]}>"


def parse(data: bytes, root: str) -> Element:
    """Raises ValueError for what is no XML of this root. Names come without their name space."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if not text.strip():
        raise ValueError("it is empty")
    # nothing that S3's clients send has a comment, a document type or an entity: no such thing is let through
    if "<!" in text:
        raise ValueError("it has a document type, a comment or CDATA")
    try:
        found = fromstring(text)  # noqa: S314  (no document type: no entities)
    except ParseError as error:
        raise ValueError(str(error)) from None
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    if found.tag != root:
        raise ValueError(f"its root is {found.tag}, not {root}")
    return found


def children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if child.tag == name)


def text_of(element: Element, name: str, default: str = "") -> str:
    found = element.find(name)
    return default if found is None or found.text is None else found.text
