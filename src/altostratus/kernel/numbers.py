# SPDX-License-Identifier: Apache-2.0
"""Numbers as clients write them."""

# Python reads no number of more than 4300 digits, and needs long for one of 4000
_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """A number in ASCII digits, or None. One that is absurdly long counts as 10**18: more than anything may be."""
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS
