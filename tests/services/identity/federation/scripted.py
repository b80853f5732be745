# SPDX-License-Identifier: Apache-2.0
"""A provider whose every word a test decides: for what no honest provider does."""

import http.server
import json
import ssl
import threading
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str, algorithm: str = "RS256", **members: Any) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", **members}


class ScriptedProvider:
    """`replies` by path: JSON, bytes, or (status, headers, body) in place of what it would say; `asked` counts."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.replies: dict[str, Any] = {}
        self.asked: list[str] = []
        self.forms: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer._answer(self)

            def do_POST(self):
                outer.forms.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
                outer._answer(self)

            def log_message(self, *_):
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.issuer = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self.keys = [public_jwk(KEY, "one")]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: Any) -> None:
        path = handler.path.split("?")[0]
        self.asked.append(path)
        reply = self.replies.get(path, self._usual(path))
        if callable(reply):
            reply = reply()
        status, headers, body = reply if isinstance(reply, tuple) else (200, {}, reply)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def _usual(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return self.discovery()
        if path == "/jwks":
            return {"keys": self.keys}
        return (404, {}, {})

    def discovery(self, **members: Any) -> dict[str, Any]:
        ends = ("authorization", "token", "introspection", "userinfo")
        pages = {f"{name}_endpoint": f"{self.issuer}/{name}" for name in ends}
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **pages, **members}

    def token(self, *, key: Any = KEY, alg: str = "RS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Claims given as None are left out."""
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "jane", "aud": "cloud", "iat": now, "exp": now + 300}
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(said, key, algorithm=alg, headers={"kid": "one", **(headers or {})})
