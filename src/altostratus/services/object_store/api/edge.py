# SPDX-License-Identifier: Apache-2.0
"""Before the router: `COPY`, which HTTP does not have, addresses at the root of the host, clients that ask first.

Some clients of S3 (restic, MinIO's) take no path behind the host. So whatever is signed as S3 wants it is S3's,
wherever it is sent; upstream's s3api takes such requests out in the same way.

Who asks before a body is sent (`Expect: 100-continue`, as Amazon's clients do) and is refused does not send it. The
server takes the start of the next request for that body, and closes the connection unless there was enough. So who asks
for leave to send a small one is heard out like others when it is refused.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

from altostratus.kernel.numbers import whole_number
from altostratus.services.object_store.s3 import signatures

_ROOT = "/object-store"
_SMALL_BYTES = 1024 * 1024
_AT_HOST_ROOT = ("/info", "/healthcheck", "/crossdomain.xml")


class Edge:
    """`COPY a` with `Destination: b` is `PUT b` with `X-Copy-From: a`; clients ask `/info` of the host itself.

    `/bucket/key` with a signature is `/object-store/s3/bucket/key`.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = env["PATH_INFO"]
        if "HTTP_EXPECT" in env and (whole_number(env.get("CONTENT_LENGTH", "")) or 0) <= _SMALL_BYTES:
            del env["HTTP_EXPECT"]
        if not f"{path}/".startswith(f"{_ROOT}/") and signatures.is_signed(env):
            env["PATH_INFO"] = signatures.ROOT + path
        elif path in _AT_HOST_ROOT or path.startswith("/endpoints/"):
            env["PATH_INFO"] = _ROOT + path
        elif env["REQUEST_METHOD"] == "COPY" and path.startswith(f"{_ROOT}/v1/"):
            _turn_round(env, path)
        return self._app(env, start_response)


def _turn_round(env: dict[str, Any], path: str) -> None:
    """Swap source and destination. Without a destination the upload is told an empty source, which it refuses."""
    parts = path.removeprefix(f"{_ROOT}/v1/").split("/", 2)
    account, container, name, *_ = [*parts, "", ""]
    target = unquote(env.pop("HTTP_DESTINATION", ""), encoding="latin-1").lstrip("/")
    to_account = env.pop("HTTP_DESTINATION_ACCOUNT", "") or account
    env["REQUEST_METHOD"] = "PUT"
    if "/" not in target.rstrip("/"):
        env["HTTP_X_COPY_FROM"] = ""
        return
    env["HTTP_X_COPY_FROM"] = quote(f"/{container}/{name}", encoding="latin-1")
    env["HTTP_X_COPY_FROM_ACCOUNT"] = account
    env["PATH_INFO"] = f"{_ROOT}/v1/{to_account}/{target}"
