# SPDX-License-Identifier: Apache-2.0
"""Calls of an API over HTTP."""

import http.client
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from conformance.coverage.steps import Call, Memory, Result, filled, first_line, learn


def run_call(step: Call, base_url: str, memory: Memory) -> Result:
    """Make one call below `base_url`; the token is the memory's `token_of_NAME`."""
    try:
        return _call(step, base_url, memory)
    except LookupError as error:
        return Result(False, f"{error} is missing, here or in an earlier reply")


def _call(step: Call, base_url: str, memory: Memory) -> Result:
    query = step.query(memory) if callable(step.query) else filled(step.query, memory)
    url = base_url + filled(step.path, memory) + (f"?{query}" if query else "")
    more = step.headers(memory, url) if callable(step.headers) else filled(step.headers, memory)
    body = step.body(memory) if callable(step.body) else filled(step.body, memory)
    headers = {"Content-Type": "application/json"} | more
    if step.by:
        headers["X-Auth-Token"] = memory[f"token_of_{step.by}"]
    sent = body if isinstance(body, str | None) else json.dumps(body)
    status, reply_headers, text = send(step.method, url, sent, headers)
    wanted = status == step.status if step.status else 200 <= status < 300
    if not wanted:
        return Result(False, f"{status}: {_words(text)}" if text else str(status))
    learn(step.keep, {"header": reply_headers, **_decoded(text)}, memory)
    return Result(True, str(status))


def send(method: str, url: str, body: str | None, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """(status, headers in lower case, text). Redirections are not followed: they are answers too."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, names, reply.read().decode(errors="replace")
    finally:
        connection.close()


def _decoded(text: str) -> dict[str, Any]:
    """A reply's JSON object, or the fields of a form."""
    try:
        shown = json.loads(text) if text else {}
    except ValueError:
        return {name: values[0] for name, values in parse_qs(text).items()}
    return shown if isinstance(shown, dict) else {}


def _words(text: str) -> str:
    shown = _decoded(text).get("error")
    return first_line(str(shown["message"]) if isinstance(shown, dict) and "message" in shown else text)
