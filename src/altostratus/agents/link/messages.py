# SPDX-License-Identifier: Apache-2.0
"""What is said over a link. An agent asks (`Request`, `Answer`), one at a time on each connection.

A connection on which the agent said `serve` is turned round: from then on the control process asks
(`Call`), any number at once, and the agent answers (`CallAnswer`) in any order.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from altostratus.kernel import log
from altostratus.kernel.errors import ApiError
from altostratus.kernel.wanted import Report

_log = log.get("link")

Operation = Literal["hello", "watch", "report", "ask", "serve"]


class Hello(msgspec.Struct, frozen=True):
    kinds: list[str]
    facts: dict[str, Any]


class Watch(msgspec.Struct, frozen=True):
    kinds: list[str]
    since: int
    timeout_s: float


class Reports(msgspec.Struct, frozen=True):
    reports: list[Report]


class Ask(msgspec.Struct, frozen=True):
    question: str
    params: dict[str, Any]


class Serve(msgspec.Struct, frozen=True):
    questions: list[str]


class Request(msgspec.Struct, frozen=True):
    op: Operation
    host: str
    body: msgspec.Raw


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`error` is a sentence for people; `status` the HTTP status it corresponds to."""

    body: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    status: int = 500


class Call(msgspec.Struct, frozen=True):
    id: int
    question: str
    params: dict[str, Any]


class CallAnswer(msgspec.Struct, frozen=True):
    id: int
    answer: Answer


encode = msgspec.json.Encoder().encode


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(value))


def answer_with(what: str, function: Callable[[], Any]) -> Answer:
    """The answer that `function` gives. Its refusals travel as such; defects are logged here and hidden there."""
    try:
        return Answer(body=raw(function()))
    except ApiError as error:
        return Answer(error=error.message, status=error.status)
    except msgspec.MsgspecError as error:
        return Answer(error=f"The message cannot be understood: {error}.", status=400)
    except Exception:  # noqa: BLE001  (boundary: a defect in one answer must not end the link)
        _log.exception("answering %s failed", what)
        return Answer(error=f"{what} failed for an internal reason; the log of the other side says more.", status=500)


def value_of(answer: Answer) -> Any:
    """What was answered. Raises ApiError for a refusal."""
    if answer.error is not None:
        raise ApiError(answer.error, status=answer.status)
    return msgspec.json.decode(answer.body)
