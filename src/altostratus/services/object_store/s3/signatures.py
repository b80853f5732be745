# SPDX-License-Identifier: Apache-2.0
"""Who has signed the request: versions 4 and 2 of Amazon's signatures, in headers or in the address."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from altostratus.kernel import clock
from altostratus.kernel.auth import Context
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.services.identity.public import AccessKey, find_access_key
from altostratus.services.object_store.logic.times import seconds_of_http_date
from altostratus.services.object_store.s3.errors import S3Error

ROOT = "/object-store/s3"
V4 = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
_SKEW_S = 15 * 60
_LONGEST_S = 7 * 24 * 3600
# parameters that version 2 signs
_SUB_RESOURCES = frozenset({
    "acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy",
    "requestPayment", "restore", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
    "versions", "website", "response-cache-control", "response-content-disposition",
    "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
})  # fmt: skip


class ChunkKey(NamedTuple):
    """What the pieces of a body are signed with, one after the other; `seed` is the request's own signature."""

    key: bytes
    moment: str
    scope: str
    seed: str

    def sign(self, kind: str, *digests: str, before: str) -> str:
        text = "\n".join((f"{V4}-{kind}", self.moment, self.scope, before, *digests))
        return hmac.digest(self.key, text.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Signed:
    """A request with a right signature. `payload`: hash of the body in hexadecimal digits, or what stands for it."""

    ctx: Context
    payload: str = UNSIGNED
    chunks: ChunkKey | None = None


def signed_by(call: Call) -> Signed | None:
    """None for a request without any signature. Raises S3Error for a wrong one, Unauthorized for a void credential."""
    text = call.headers.get("AUTHORIZATION", "")
    if text.startswith(f"{V4} "):
        return _by_header_4(call, text)
    if text.startswith("AWS "):
        return _by_header_2(call, text)
    if text:
        raise S3Error("InvalidArgument", f"Unsupported Authorization type. Sign requests with {V4}.")
    if "X-Amz-Algorithm" in call.query:
        return _by_address_4(call)
    if "AWSAccessKeyId" in call.query:
        return _by_address_2(call)
    return None


def is_signed(env: Mapping[str, Any]) -> bool:
    """Does a request (of WSGI) say that it is signed as S3 wants it? Whether it is right is found out later."""
    if env.get("HTTP_AUTHORIZATION", "").startswith((f"{V4} ", "AWS ")):
        return True
    query = env.get("QUERY_STRING", "")
    return f"X-Amz-Algorithm={V4}" in query or ("AWSAccessKeyId=" in query and "Signature=" in query)


def stated_access_key(call: Call) -> str:
    """The access key that the request names, whether its signature is right or not; empty for none."""
    text = call.headers.get("AUTHORIZATION", "")
    if text.startswith("AWS "):
        return text.removeprefix("AWS ").strip().partition(":")[0]
    if text.startswith(f"{V4} "):
        return text.partition("Credential=")[2].partition("/")[0]
    if "X-Amz-Credential" in call.query:
        return call.query["X-Amz-Credential"][-1].partition("/")[0]
    return call.query.get("AWSAccessKeyId", [""])[-1]


# version 4


def _by_header_4(call: Call, text: str) -> Signed:
    stated = dict(part.strip().partition("=")[::2] for part in text.removeprefix(V4).split(","))
    if not stated.keys() >= {"Credential", "SignedHeaders", "Signature"}:
        raise S3Error("AuthorizationHeaderMalformed", "It must have Credential, SignedHeaders and Signature.")
    moment = call.headers.get("X-AMZ-DATE", "")
    payload = call.headers.get("X-AMZ-CONTENT-SHA256")
    if payload is None:
        raise S3Error("MissingSecurityHeader", "The header x-amz-content-sha256 is missing.")
    seconds = _seconds_4(moment)
    if seconds is None:
        raise S3Error("AccessDenied", "The header x-amz-date is missing, or is no time like 20260102T030405Z.")
    _demand_timely(seconds)
    return _checked_4(call, stated["Credential"], stated["SignedHeaders"], stated["Signature"], (moment, payload))


def _by_address_4(call: Call) -> Signed:
    given = {name.removeprefix("X-Amz-"): values[-1] for name, values in call.query.items()}
    moment, seconds = given.get("Date", ""), _seconds_4(given.get("Date", ""))
    lasts = given.get("Expires", "")
    if given["Algorithm"] != V4 or not given.keys() >= {"Credential", "SignedHeaders", "Signature"}:
        raise S3Error(
            "AuthorizationQueryParametersError",
            f"A signed address has X-Amz-Algorithm={V4}, X-Amz-Credential, -SignedHeaders, -Signature.",
        )
    lasts_s = whole_number(lasts)
    if seconds is None or lasts_s is None or not 0 < lasts_s <= _LONGEST_S:
        raise S3Error(
            "AuthorizationQueryParametersError", f"X-Amz-Date must be a time, X-Amz-Expires 1 to {_LONGEST_S} seconds."
        )
    _demand_in_time(seconds, seconds + lasts_s)
    payload = call.headers.get("X-AMZ-CONTENT-SHA256", UNSIGNED)
    return _checked_4(call, given["Credential"], given["SignedHeaders"], given["Signature"], (moment, payload))


def _checked_4(call: Call, credential: str, names: str, signature: str, stated: tuple[str, str]) -> Signed:
    """stated: moment, payload"""
    moment, payload = stated
    access, *scope = credential.rsplit("/", 4)
    if len(scope) != 4 or scope[2:] != ["s3", "aws4_request"] or not moment.startswith(scope[0]):
        raise S3Error(
            "AuthorizationHeaderMalformed", "The credential must be KEY/DATE/REGION/s3/aws4_request of the same date."
        )
    _demand_signed_headers(call.headers, names)
    key = access_key_of(call, access)
    secret = key.signing_key(scope)
    query, scope_text = _query_4(call.query), "/".join(scope)
    wanted: dict[str, str] = {}
    for host, path in _addresses(call):
        values = {**call.headers, "HOST": host}
        headers = "".join(f"{name}:{_tidy(values.get(name.upper(), ''))}\n" for name in names.split(";"))
        asked = f"{call.asked.method}\n{path}\n{query}\n{headers}\n{names}\n{payload}"
        digest = hashlib.sha256(asked.encode("latin-1", "replace")).hexdigest()
        text = f"{V4}\n{moment}\n{scope_text}\n{digest}"
        made = hmac.digest(secret, text.encode("utf-8", "replace"), "sha256")
        if is_same(made.hex(), signature):
            return Signed(key.context(), payload, ChunkKey(secret, moment, scope_text, signature))
        wanted = wanted or {"StringToSign": text, "CanonicalRequest": asked}
    raise mismatch(wanted)


def _demand_signed_headers(headers: Mapping[str, str], names: str) -> None:
    signed = set(names.split(";"))
    left_out = [name.lower() for name in headers if name.startswith("X-AMZ-") and name.lower() not in signed]
    if "host" not in signed:
        left_out.append("host")
    # it says itself what is signed: of a signed address it may come unsigned
    left_out = [name for name in left_out if name != "x-amz-content-sha256"]
    if left_out:
        raise S3Error("AccessDenied", f"There were headers that must be signed and are not: {', '.join(left_out)}.")


def _query_4(query: Mapping[str, list[str]]) -> str:
    pairs = (
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, values in query.items()
        if name != "X-Amz-Signature"
        for value in values
    )
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _seconds_4(text: str) -> int | None:
    try:
        return int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


# version 2


def _by_header_2(call: Call, text: str) -> Signed:
    access, _, signature = text.removeprefix("AWS ").strip().rpartition(":")
    moment = call.headers.get("X-AMZ-DATE") or call.headers.get("DATE", "")
    seconds = seconds_of_http_date(moment)
    if seconds is None:
        raise S3Error("AccessDenied", "A signed request needs a Date or x-amz-date header.")
    _demand_timely(seconds)
    return _checked_2(call, access, signature, "" if "X-AMZ-DATE" in call.headers else moment)


def _by_address_2(call: Call) -> Signed:
    given = {name: values[-1] for name, values in call.query.items()}
    until = given.get("Expires", "")
    if "Signature" not in given or not (until.isascii() and until.isdigit() and len(until) < 16):
        raise S3Error("AccessDenied", "A signed address has AWSAccessKeyId, Expires and Signature.")
    _demand_in_time(None, int(until))
    return _checked_2(call, given["AWSAccessKeyId"], given["Signature"], until)


def _checked_2(call: Call, access: str, signature: str, moment: str) -> Signed:
    key, headers = access_key_of(call, access), call.headers
    own = sorted((name.lower(), _tidy(value)) for name, value in headers.items() if name.startswith("X-AMZ-"))
    head = (call.asked.method, headers.get("CONTENT-MD5", ""), headers.get("CONTENT-TYPE", ""), moment)
    start = "\n".join(head) + "\n" + "".join(f"{name}:{value}\n" for name, value in own)
    wanted: dict[str, str] = {}
    for _, path in _addresses(call):
        text = start + path + _query_2(call.query)
        if is_same(key.signature_2(text.encode("latin-1", "replace")), signature):
            return Signed(key.context())
        wanted = wanted or {"StringToSign": text}
    raise mismatch(wanted)


def _query_2(query: Mapping[str, list[str]]) -> str:
    pairs = [(name, value) for name in sorted(query) if name in _SUB_RESOURCES for value in query[name]]
    text = "&".join(f"{name}={value}" if value else name for name, value in pairs)
    return f"?{text}" if text else ""


# both


def access_key_of(call: Call, access: str) -> AccessKey:
    key = find_access_key(call.cloud, access)
    if key is None:
        raise S3Error(
            "InvalidAccessKeyId",
            "There is no such access key. Make one with: openstack ec2 credentials create",
        )
    return key


def _addresses(call: Call) -> Iterator[tuple[str, str]]:
    """(host, path) as clients may have signed them: they differ in where they take the place of the API for the host's,
    and some know nothing of it.

    A bucket's path may end in a slash, which the router has taken away.
    """
    host, path = call.headers.get("HOST", ""), quote(call.asked.path, safe="/-_.~")
    for spelling in (path,) if call.asked.slash_counts else (path, f"{path}/"):
        yield host, spelling
        yield host + ROOT, spelling.removeprefix(ROOT) or "/"
        yield host, spelling.removeprefix(ROOT) or "/"


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _demand_timely(seconds: int) -> None:
    if abs(seconds - clock.unix()) > _SKEW_S:
        raise S3Error("RequestTimeTooSkewed", "The client's clock differs too much from ours. Set it right.")


def _demand_in_time(since: int | None, until: int) -> None:
    now = clock.unix()
    if now > until:
        raise S3Error("AccessDenied", "Request has expired. Ask for another address.")
    if since is not None and since - now > _SKEW_S:
        raise S3Error("AccessDenied", "Request is not valid yet. Is the clock right that it was signed by?")


def is_same(made: str, given: str) -> bool:
    return hmac.compare_digest(made.encode(), given.encode("utf-8", "replace"))


def mismatch(wanted: Mapping[str, str]) -> S3Error:
    """wanted: what the client should have signed, by the names that Amazon has for it."""
    return S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check the secret key, and that"
        " nothing between client and cloud changes the address or the headers: this answer tells what we signed.",
        details=wanted,
    )
