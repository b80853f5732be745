# SPDX-License-Identifier: Apache-2.0
"""Search filters (RFC 4515) and names (RFC 4514) out of texts that strangers give.

Every byte that is not a plain letter or digit is written as a backslash and two hexadecimal digits: both grammars allow
that for any byte, so there is no character to forget.
"""

import string

from altostratus.services.identity.directory.contract import Condition

_PLAIN = frozenset((string.ascii_letters + string.digits).encode())
_IN_CHAIN = ":1.2.840.113556.1.4.1941:"


def escaped(text: str) -> str:
    """`text` as a value of a filter or of a relative distinguished name. Half a surrogate pair becomes `?`."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in text.encode(errors="replace"))


def equals(attribute: str, text: str, *, nested: bool = False) -> str:
    """`nested`: Active Directory's rule that follows groups in groups."""
    return f"({attribute}{_IN_CHAIN if nested else ''}={escaped(text)})"


def present(attribute: str) -> str:
    return f"({attribute}=*)"


def matches(attribute: str, condition: Condition) -> str:
    value = escaped(condition.text)
    if condition.how == "equals" or not value:
        return f"({attribute}={value or '*'})"
    before = "*" if condition.how in ("contains", "endswith") else ""
    after = "*" if condition.how in ("contains", "startswith") else ""
    return f"({attribute}={before}{value}{after})"


def every(*filters: str) -> str:
    return f"(&{''.join(filters)})"


def some(*filters: str) -> str:
    return f"(|{''.join(filters)})"


def named(attribute: str, text: str, above: str) -> str:
    """The distinguished name of an entry below another one."""
    return f"{attribute}={escaped(text)},{above}"
