# SPDX-License-Identifier: Apache-2.0
"""A small client of the public APIs for one user: just what the command needs, and no more."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from altostratus.app.options import CloudOptions, Paths
from altostratus.cli.place import log_in, request
from altostratus.kernel import clock


class ClientError(Exception):
    """A step did not work; the message says what and what to look at."""


class Client:
    """Requests with the user's token; service URLs come from the catalog."""

    def __init__(self, paths: Paths, options: CloudOptions, user: str) -> None:
        self._token, description = log_in(paths, options, user, user)
        self.project_id = description["project"]["id"]
        self._urls = {
            entry["type"]: next(one["url"] for one in entry["endpoints"] if one["interface"] == "public")
            for entry in description["catalog"]
        }

    def url(self, service: str, path: str) -> str:
        types = {"volume": ("volumev3", "block-storage"), "network": ("network",), "image": ("image",)}
        for name in types.get(service, (service,)):
            if name in self._urls:
                base: str = self._urls[name].rstrip("/")
                version = {"network": "/v2.0", "image": "/v2"}.get(service, "")
                return base + ("" if base.endswith(version) else version) + path
        raise ClientError(f"the catalog has no service {service}")

    def call(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of a 2xx answer. Raises ClientError with the cloud's own words."""
        sent = {"X-Auth-Token": self._token} | {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, shown = request(method, self.url(service, path), body, sent, timeout_s=120)
        if status >= 300:
            raise ClientError(f"{method} {service}{path} answered {status}: {shown}")
        return shown

    def find(self, service: str, path: str, many: str, name: str) -> dict[str, Any] | None:
        """The first of a list with this name."""
        shown = self.call("GET", service, f"{path}?{urlencode({'name': name})}")
        found: list[dict[str, Any]] = [one for one in shown[many] if one["name"] == name]
        return found[0] if found else None

    def ensure(self, service: str, path: str, one: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """The thing of this name, made now if it is not there yet."""
        existing = self.find(service, path, path.strip("/").split("/")[-1].replace("-", "_"), wanted["name"])
        if existing is not None:
            return existing
        made: dict[str, Any] = self.call("POST", service, path, {one: wanted})[one]
        return made

    def upload(self, image_id: str, path: Path) -> None:
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/octet-stream"}
        headers["Content-Length"] = str(path.stat().st_size)
        with path.open("rb") as data:
            asked = Request(self.url("image", f"/images/{image_id}/file"), data=data, headers=headers, method="PUT")
            with urlopen(asked, timeout=300) as reply:
                reply.read()

    def delete(self, service: str, path: str) -> None:
        """Nothing there is success."""
        status, _, shown = request("DELETE", self.url(service, path), None, {"X-Auth-Token": self._token})
        if status >= 300 and status != 404:
            raise ClientError(f"DELETE {service}{path} answered {status}: {shown}")

    def wait(self, ask: Callable[[], Any], done: Callable[[Any], bool], words: str, timeout_s: float = 180) -> Any:
        """Ask again until `done`. Raises ClientError with `words` and the last answer."""
        deadline = clock.monotonic() + timeout_s
        while True:
            shown = ask()
            if done(shown):
                return shown
            if clock.monotonic() > deadline:
                raise ClientError(f"{words} after {timeout_s:.0f} s; the last answer was {shown}")
            time.sleep(0.1)

    def wait_status(self, service: str, path: str, one: str, wanted: str, timeout_s: float = 180) -> dict[str, Any]:
        def done(shown: dict[str, Any]) -> bool:
            if shown["status"].lower() == "error" and wanted.lower() != "error":
                fault = shown.get("fault", {}).get("message", "no reason given")
                raise ClientError(f"{one} {shown['id']} is in ERROR: {fault}")
            return bool(shown["status"].lower() == wanted.lower())

        found: dict[str, Any] = self.wait(
            lambda: self.call("GET", service, path)[one], done, f"{one} is not {wanted}", timeout_s
        )
        return found
