# SPDX-License-Identifier: Apache-2.0
"""Short words for what people do with the network API."""

from typing import Any

from altostratus.testing.cloud import Answer, Client

ROOT = "/network/v2.0"
PLURALS = {
    "network": "networks",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
    "port": "ports",
    "router": "routers",
    "floatingip": "floatingips",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
}


class Person:
    """A client that knows the resources by name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.project_id = client.project_id

    def path(self, kind: str, id: str = "") -> str:
        return f"{ROOT}/{PLURALS[kind]}" + (f"/{id}" if id else "")

    def try_make(self, kind: str, **members: Any) -> Answer:
        return self.client.post(self.path(kind), {kind: members})

    def make(self, kind: str, **members: Any) -> dict[str, Any]:
        made = self.try_make(kind, **members)
        assert made.status == 201, made.text
        return dict(made.json[kind])

    def show(self, kind: str, id: str) -> dict[str, Any]:
        shown = self.client.get(self.path(kind, id))
        assert shown.status == 200, shown.text
        return dict(shown.json[kind])

    def list(self, kind: str, query: str = "") -> list[dict[str, Any]]:
        shown = self.client.get(self.path(kind) + (f"?{query}" if query else ""))
        assert shown.status == 200, shown.text
        return list(shown.json[PLURALS[kind].replace("-", "_")])

    def try_set(self, kind: str, id: str, **members: Any) -> Answer:
        return self.client.put(self.path(kind, id), {kind: members})

    def set(self, kind: str, id: str, **members: Any) -> dict[str, Any]:
        changed = self.try_set(kind, id, **members)
        assert changed.status == 200, changed.text
        return dict(changed.json[kind])

    def try_delete(self, kind: str, id: str) -> Answer:
        return self.client.delete(self.path(kind, id))

    def delete(self, kind: str, id: str) -> None:
        gone = self.try_delete(kind, id)
        assert gone.status == 204, gone.text

    def try_add_subnet(self, router_id: str, subnet_id: str) -> Answer:
        return self.client.put(self.path("router", router_id) + "/add_router_interface", {"subnet_id": subnet_id})

    def add_subnet(self, router_id: str, subnet_id: str) -> dict[str, Any]:
        added = self.try_add_subnet(router_id, subnet_id)
        assert added.status == 200, added.text
        return dict(added.json)

    def remove_subnet(self, router_id: str, subnet_id: str) -> Answer:
        return self.client.put(self.path("router", router_id) + "/remove_router_interface", {"subnet_id": subnet_id})


def kind_of(answer: Answer) -> str:
    return str(answer.json["NeutronError"]["type"])


def words_of(answer: Answer) -> str:
    return str(answer.json["NeutronError"]["message"])
