# SPDX-License-Identifier: Apache-2.0
"""Bodies in signed pieces, as Amazon's other clients send them."""

import hashlib
import hmac
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

SCOPE = ("us-east-1", "s3", "aws4_request")


class Sender:
    """Sends `aws-chunked` bodies. `spoil` changes a piece after it was signed."""

    def __init__(self, address, pair, bucket):
        self.host, self.path, self.pair = urlsplit(address).netloc, f"/object-store/s3/{bucket}/", pair
        self.moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.scope = "/".join((self.moment[:8], *SCOPE))

    def put(self, key, pieces, *, trailer=None, signed=True, spoil=False, size=None):
        """(status, body); trailer: (name, value)"""
        kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD"
        headers = {
            "content-encoding": "aws-chunked",
            "host": self.host,
            "x-amz-content-sha256": kind + ("-TRAILER" if trailer else ""),
            "x-amz-date": self.moment,
            "x-amz-decoded-content-length": str(sum(map(len, pieces)) if size is None else size),
        }
        if trailer:
            headers["x-amz-trailer"] = trailer[0]
        path, names = self.path + key, ";".join(sorted(headers))
        canonical = "\n".join(
            ("PUT", path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
             headers["x-amz-content-sha256"])
        )  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._sign(f"AWS4-HMAC-SHA256\n{self.moment}\n{self.scope}\n{digest}")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.pair[0]}/{self.scope}, SignedHeaders={names}, Signature={signature}"
        )
        connection = HTTPConnection(self.host)
        connection.request("PUT", path, self._body(pieces, signature, trailer, signed, spoil), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def _body(self, pieces, before, trailer, signed, spoil):
        empty, body = hashlib.sha256(b"").hexdigest(), b""
        for piece in (*pieces, b""):
            head = f"{len(piece):x}"
            if signed:
                digest = hashlib.sha256(piece).hexdigest()
                text = ("AWS4-HMAC-SHA256-PAYLOAD", self.moment, self.scope, before, empty, digest)
                before = self._sign("\n".join(text))
                head += f";chunk-signature={before}"
            body += head.encode() + b"\r\n"
            if piece:
                body += (piece[:-1] + b"!" if spoil else piece) + b"\r\n"
        if trailer:
            line = f"{trailer[0]}:{trailer[1]}\n"
            body += line.replace("\n", "\r\n").encode()
            if signed:
                digest = hashlib.sha256(line.encode()).hexdigest()
                ending = f"AWS4-HMAC-SHA256-TRAILER\n{self.moment}\n{self.scope}\n{before}\n{digest}"
                body += f"x-amz-trailer-signature:{self._sign(ending)}\r\n".encode()
        return body + b"\r\n"

    def _sign(self, text):
        key = f"AWS4{self.pair[1]}".encode()
        for part in (*self.scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()
