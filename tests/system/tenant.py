# SPDX-License-Identifier: Apache-2.0
"""A user of one project who speaks plain HTTP and bears with a cloud that is away for a while."""

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from altostratus.testing.private_cloud import PrivateCloud

GONE_S = 60.0


class Answer(NamedTuple):
    """`status` is 0 when nobody can tell what became of the request."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Tenant:
    """`call` never raises for a refusal; `need` does."""

    def __init__(self, cloud: PrivateCloud, user: str, project: str, password: str | None = None) -> None:
        self.cloud = cloud
        self.token = cloud.log_in(user, project, password)
        shown = self.call("GET", "/identity/v3/auth/projects").body["projects"]
        self.project_id = next(one["id"] for one in shown if one["name"] == project)

    def call(self, method: str, path: str, body: Any = None, *, data: bytes | None = None, version: str = "") -> Answer:
        """Asks again while the cloud is away, unless asking twice could do something twice."""
        headers = {
            "X-Auth-Token": self.token,
            "Content-Type": "application/json" if data is None else "application/octet-stream",
        }
        if version:
            headers["OpenStack-API-Version"] = version
        sent = data if data is not None else None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + GONE_S
        while True:
            asked = urllib.request.Request(self.cloud.url + path, data=sent, headers=headers, method=method)
            try:
                with urllib.request.urlopen(asked, timeout=30) as reply:
                    return _answer(reply.status, reply.read())
            except urllib.error.HTTPError as error:
                return _answer(error.code, error.read())
            except (OSError, http.client.HTTPException):
                if method == "POST":
                    return Answer(0, None)
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def need(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The body of a success. Asks again for as long as it takes to be told."""
        deadline = time.monotonic() + GONE_S
        while (answer := self.call(method, path, body, **options)).status == 0 and time.monotonic() < deadline:
            time.sleep(0.3)
        assert answer.ok, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    def wait(self, path: str, one: str, states: set[str], timeout_s: float = 180) -> dict[str, Any]:
        """Until the resource has one of these states (in lower case). {} if it is gone."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.call("GET", path)
            if answer.status == 404:
                return {}
            if answer.ok:
                shown: dict[str, Any] = answer.body[one]
                busy = shown.get("OS-EXT-STS:task_state")
                if shown["status"].lower() in states and busy is None:
                    return shown
            assert time.monotonic() < deadline, f"{path} is not in {states}: {answer}"
            time.sleep(0.3)

    def wait_gone(self, path: str, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while (answer := self.call("GET", path)).status != 404:
            assert time.monotonic() < deadline, f"{path} is still there: {answer}"
            time.sleep(0.3)

    # short cuts

    def network(self, name: str, cidr: str) -> str:
        made = self.need("POST", "/network/v2.0/networks", {"network": {"name": name}})["network"]["id"]
        subnet = {"name": name, "network_id": made, "ip_version": 4, "cidr": cidr}
        self.need("POST", "/network/v2.0/subnets", {"subnet": subnet})
        return str(made)

    def image(self, name: str = "mini") -> str:
        return str(self.need("GET", f"/image/v2/images?name={name}")["images"][0]["id"])

    def flavor(self, name: str = "m1.mini") -> str:
        flavors = self.need("GET", "/compute/v2.1/flavors")["flavors"]
        return str(next(one["id"] for one in flavors if one["name"] == name))

    def server(self, name: str, **more: Any) -> str:
        """Ask for a server of the mini image; its id."""
        wanted = {"name": name, "imageRef": self.image(), "flavorRef": self.flavor()} | more
        return str(self.need("POST", "/compute/v2.1/servers", {"server": wanted})["server"]["id"])

    def act(self, server_id: str, action: dict[str, Any], **options: Any) -> Answer:
        return self.call("POST", f"/compute/v2.1/servers/{server_id}/action", action, **options)

    def console(self, server_id: str, protocol: str = "serial", kind: str = "serial") -> str:
        """A console URL."""
        asked = {"remote_console": {"protocol": protocol, "type": kind}}
        path = f"/compute/v2.1/servers/{server_id}/remote-consoles"
        return str(self.need("POST", path, asked, version="compute 2.6")["remote_console"]["url"])

    def console_log(self, server_id: str) -> str:
        answer = self.act(server_id, {"os-getConsoleOutput": {"length": 100}})
        return str(answer.body["output"]) if answer.ok else ""


def _answer(status: int, content: bytes) -> Answer:
    try:
        return Answer(status, json.loads(content) if content else None)
    except ValueError:
        return Answer(status, content.decode(errors="replace"))
