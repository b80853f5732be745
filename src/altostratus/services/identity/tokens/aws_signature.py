# SPDX-License-Identifier: Apache-2.0
"""Signatures of Amazon's kind: EC2 requests (versions 0, 1, 2 and 4) and S3 strings to sign (versions 1 and 4).

What is signed arrives taken apart, in the form that services send to Keystone: `params`, `headers`, `verb`, `host`,
`path` and `body_hash` of an EC2 request, or the `token` (a string to sign) of an S3 request, each with `signature`.
"""

import hashlib
import hmac
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from altostratus.kernel import clock

_V4 = "AWS4-HMAC-SHA256"
_S3_SERVICES = ("s3", "iam", "sts")
# these sign the host without its port, whatever the Host header says
_BOTO_WITHOUT_PORT = re.compile(r"Boto/2\.[0-9]\.[0-2]")


class SignatureError(Exception):
    """The request is not signed in a way that is known here; the message says why, for people."""


def is_ec2_signed(secret: str, given: Mapping[str, Any]) -> bool:
    """Some clients leave the port out when they sign: the host is tried with and without. Raises SignatureError."""
    hosts = {given.get("host", "")}
    if ":" in given.get("host", ""):
        hosts.add(_without_port(given["host"]))
    return any(_same(_ec2_signature(secret, given, host), given["signature"]) for host in sorted(hosts))


def is_s3_signed(secret: str, given: Mapping[str, Any]) -> bool:
    """Raises SignatureError."""
    try:
        text = urlsafe_b64decode(given["token"])
    except ValueError:
        raise SignatureError("the token is not base64") from None
    if not text.startswith(b"AWS4"):
        made = b64encode(_hmac(secret.encode(), text, "sha1")).decode()
    else:
        made = _s3_signature_4(secret, text)
    return _same(made, given["signature"])


def is_timely(given: Mapping[str, Any], window_s: int) -> bool:
    """Was the EC2 request signed at most so long ago (or ahead)? Without a time in it: yes. Raises SignatureError."""
    headers = _lower(given.get("headers", {}))
    params = given.get("params", {})
    moment = params.get("Timestamp") or headers.get("x-amz-date") or params.get("X-Amz-Date")
    if not moment:
        return True
    try:
        return abs(clock.parse(str(moment)).timestamp() - clock.unix()) <= window_s
    except ValueError:
        raise SignatureError(f"{moment!r} is not a time") from None


# EC2


def _ec2_signature(secret: str, given: Mapping[str, Any], host: str) -> str:
    params = {name: str(value) for name, value in given.get("params", {}).items()}
    key = secret.encode()
    version = params.get("SignatureVersion")
    if version == "0":
        return b64encode(_hmac(key, (params.get("Action", "") + params.get("Timestamp", "")).encode(), "sha1")).decode()
    if version == "1":
        pairs = "".join(name + params[name] for name in sorted(params, key=str.lower) if name != "Signature")
        return b64encode(_hmac(key, pairs.encode(), "sha1")).decode()
    if version == "2":
        pairs = _query(params | {"SignatureMethod": "HmacSHA256"})
        text = f"{given.get('verb', '')}\n{host}\n{given.get('path', '')}\n{pairs}"
        return b64encode(_hmac(key, text.encode(), "sha256")).decode()
    return _ec2_signature_4(secret, given, params)


def _ec2_signature_4(secret: str, given: Mapping[str, Any], params: dict[str, str]) -> str:
    headers = _lower(given.get("headers", {}))
    authorization = headers.get("authorization", "")
    if not authorization.startswith(_V4) and params.get("X-Amz-Algorithm") != _V4:
        raise SignatureError("it has neither a SignatureVersion of 0, 1 or 2 nor one of the kind AWS4-HMAC-SHA256")

    def stated(name: str) -> str:
        found = authorization.partition(f"{name}=")[2].split(",")[0] if authorization else ""
        return found or params.get(f"X-Amz-{name}", "")

    scope = stated("Credential").split("/")[1:]
    moment = headers.get("x-amz-date") or params.get("X-Amz-Date", "")
    if len(scope) != 4 or not scope[0] or not moment.startswith(scope[0]):
        raise SignatureError("its credential scope is not DATE/REGION/SERVICE/aws4_request with the request's date")
    verb, names = given.get("verb", "").upper(), stated("SignedHeaders")
    canonical = "\n".join(
        (
            verb,
            given.get("path", ""),
            # parameters of a POST are in the body, whose hash is signed
            "" if verb == "POST" else _query(params),
            "\n".join(_signed_headers(headers, names)) + "\n",
            names,
            given.get("body_hash", ""),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return _signature_4(secret, scope, "\n".join((_V4, moment, "/".join(scope), digest)).encode())


def _signed_headers(headers: Mapping[str, str], names: str) -> list[str]:
    without_port = _BOTO_WITHOUT_PORT.match(headers.get("user-agent", ""))
    found = []
    for name in names.split(";"):
        if name in headers:
            value = headers[name].split(":")[0] if name == "host" and without_port else headers[name]
            found.append(f"{name}:{value}")
    return found


def _query(params: Mapping[str, str]) -> str:
    return "&".join(
        f"{quote(name, safe='')}={quote(params[name], safe='-_~')}"
        for name in sorted(params)
        if name not in ("Signature", "X-Amz-Signature")
    )


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower().strip(): " ".join(str(value).split()) for name, value in headers.items()}


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host


# S3


def _s3_signature_4(secret: str, text: bytes) -> str:
    parts = text.decode(errors="replace").split("\n")
    scope = parts[2].split("/") if len(parts) == 4 else []
    if parts[0] != _V4 or len(scope) != 4 or scope[2] not in _S3_SERVICES or scope[3] != "aws4_request":
        raise SignatureError(f"its scope is not DATE/REGION/SERVICE/aws4_request of {', '.join(_S3_SERVICES)}")
    return _signature_4(secret, scope, text)


# both


def _signature_4(secret: str, scope: list[str], text: bytes) -> str:
    return _hmac(signing_key(secret, scope), text, "sha256").hex()


def signing_key(secret: str, scope: Sequence[str]) -> bytes:
    """Version 4's key of a scope: date, region, service."""
    key = f"AWS4{secret}".encode()
    for part in (*scope[:3], "aws4_request"):
        key = _hmac(key, part.encode(), "sha256")
    return key


def _hmac(key: bytes, text: bytes, kind: str) -> bytes:
    return hmac.new(key, text, kind).digest()


def _same(made: str, given: str) -> bool:
    return hmac.compare_digest(made.encode(), given.encode())
