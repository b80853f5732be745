# SPDX-License-Identifier: Apache-2.0
"""Scripts of other web sites in a browser, by S3's rules of a bucket. Swift has settings of its own for its addresses.

A browser asks beforehand without a signature. Whose bucket is meant is then told by `PROJECT_ID:BUCKET` in the address,
or by the access key in a signed address, which is only looked up here and lets nobody in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from altostratus.kernel.errors import Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.identity.public import find_access_key
from altostratus.services.object_store.logic import access, containers
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.names import project_and_bucket
from altostratus.services.object_store.s3.signatures import stated_access_key

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
# as a bucket keeps it: lists of `origins`, `methods`, `headers`, `exposed`; perhaps `id`, `max_age`
Rule = Mapping[str, Any]


def preflight(call: Call) -> Reply:
    """May a site's script do it? Needs no signature."""
    if "ORIGIN" not in call.headers:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.", status=400)
    method = call.headers.get("ACCESS-CONTROL-REQUEST-METHOD", "")
    if method not in METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {method[:40]!r}.", status=400)
    asked = call.headers.get("ACCESS-CONTROL-REQUEST-HEADERS", "").lower()
    headers = [name.strip() for name in asked.split(",") if name.strip()]
    rule = _fitting(_rules_for(call), call.headers["ORIGIN"], method, headers)
    if rule is None:
        raise S3Error(
            "AccessForbidden",
            "CORSResponse: This CORS request is not allowed. The bucket has no rule for this origin, method and headers"
            ", or it is not known whose bucket it is: say PROJECT_ID:BUCKET in the address.",
        )
    allowed = {"Access-Control-Allow-Headers": ", ".join(headers)} if headers else {}
    return Reply(200, headers={**_headers(rule, call.headers["ORIGIN"]), **allowed})


def headers_for(call: Call) -> dict[str, str]:
    """What tells the browser that a site's script may see the answer, whatever it is."""
    if "ORIGIN" not in call.headers or call.op.method == "OPTIONS":
        return {}
    rule = _fitting(_rules_for(call), call.headers["ORIGIN"], call.asked.method, ())
    return {} if rule is None else _headers(rule, call.headers["ORIGIN"])


def _headers(rule: Rule, origin: str) -> dict[str, str]:
    shown = {
        "Access-Control-Allow-Methods": ", ".join(rule["methods"]),
        "Access-Control-Allow-Origin": "*" if "*" in rule["origins"] else origin,
        "Vary": _VARY,
    }
    if "*" not in rule["origins"]:
        shown["Access-Control-Allow-Credentials"] = "true"
    if rule["exposed"]:
        shown["Access-Control-Expose-Headers"] = ", ".join(rule["exposed"])
    if rule.get("max_age") is not None:
        shown["Access-Control-Max-Age"] = str(rule["max_age"])
    return shown


def _fitting(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str]) -> Rule | None:
    """The first one that allows all of it."""
    for rule in rules:
        if method not in rule["methods"] or not any(_is_like(origin, pattern) for pattern in rule["origins"]):
            continue
        if all(any(_is_like(name, pattern.lower()) for pattern in rule["headers"]) for name in headers):
            return rule
    return None


def _is_like(text: str, pattern: str) -> bool:
    """One `*` at most, for anything."""
    start, star, end = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end)


def _rules_for(call: Call) -> Sequence[Rule]:
    project_id, bucket = project_and_bucket(call.params.get("bucket", ""))
    project_id = project_id or _project_of_key(call)
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, access.account_of(project_id), bucket)
    rules: Sequence[Rule] = (row.s3 or {}).get("cors", ()) if row is not None else ()
    return rules


def _project_of_key(call: Call) -> str:
    key = find_access_key(call.cloud, stated_access_key(call))
    try:
        return (key.context().project_id if key is not None else None) or ""
    except Unauthorized:
        return ""
