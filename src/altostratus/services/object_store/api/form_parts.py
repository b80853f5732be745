# SPDX-License-Identifier: Apache-2.0
"""Forms of HTML with files (multipart/form-data), part by part as they come; Swift's and S3's."""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from falcon.media.multipart import BodyPart, MultipartForm, MultipartParseOptions
from falcon.util import BufferedReader, parse_header

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call

_LONGEST_BOUNDARY = 200


def is_form(call: Call) -> bool:
    kind, parameters = parse_header(call.headers.get("CONTENT-TYPE", ""))
    return kind.lower() == "multipart/form-data" and bool(parameters.get("boundary"))


class FormPart(NamedTuple):
    """A field or a file. `whole` is the form's stream, `end` what stands behind each part."""

    body: BodyPart
    whole: Any
    end: bytes

    def file(self, most: int) -> "FormFile":
        return FormFile(self, most)


class FormFile:
    """A file of a form as a stream that must end with a boundary, and before `most` bytes."""

    def __init__(self, part: FormPart, most: int) -> None:
        self._part, self._left = part, most

    def read(self, size: int, /) -> bytes:
        data: bytes = self._part.body.stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ObjectStoreError("too_large", "The file has more bytes than the form allows.")
        if not data and size and self._part.whole.peek(len(self._part.end)) != self._part.end:
            raise ObjectStoreError("short", "The form was broken off.")
        return data


def parts_of_form(call: Call) -> Iterator[FormPart]:
    """Raises MultipartParseError for what is no form, BadRequest for a boundary that is too long."""
    boundary = parse_header(call.headers["CONTENT-TYPE"])[1]["boundary"].encode("latin-1", "replace")
    if len(boundary) > _LONGEST_BOUNDARY:
        raise BadRequest("FormPost: the boundary is too long.")
    options = MultipartParseOptions()
    options.max_body_part_count = 0
    whole = BufferedReader(call.stream.read, sys.maxsize)
    for part in MultipartForm(whole, boundary, None, options):
        yield FormPart(part, whole, b"\r\n--" + boundary)
