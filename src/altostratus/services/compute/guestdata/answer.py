# SPDX-License-Identifier: Apache-2.0
"""The metadata service: which guest asks, and what it gets.

The network agent asks `metadata` with the network or router that the request came through and the
guest's address; nothing that the guest itself says is believed.
"""

import base64
from typing import Any

import msgspec

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.numbers import whole_number
from altostratus.services.compute.guestdata import ec2, openstack
from altostratus.services.compute.guestdata.facts import Facts, gather
from altostratus.services.compute.models.servers import Server
from altostratus.services.network import public as network

_STRANGER = b"No server has this address in this network.\n"
# upstream's limit; what guests post is encrypted with the key pair's public key
_LONGEST_PASSWORD_BYTES = 1020


class Missing(Exception):
    """There is nothing under this path."""


def metadata(cloud: Cloud, params: dict[str, Any]) -> dict[str, Any]:
    """Answer of one guest's request: {"status", "headers", "body_base64"}."""
    path = str(params.get("path", "/")).partition("?")[0]
    method = str(params.get("method", "GET")).upper()
    if method == "POST" and _is_password(path):
        return _keep_password(cloud, params)
    if method not in ("GET", "HEAD"):
        return _reply(405, b"Only GET is answered here, and one POST of a password.\n")
    with cloud.db.read() as tx:
        facts = _facts(tx, cloud, params)
    if facts is None:
        return _reply(404, _STRANGER)
    try:
        body, kind = look_up(facts, path)
    except Missing:
        return _reply(404, b"Not found.\n")
    return _reply(200, body, kind)


def _is_password(path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    return len(parts) == 3 and parts[0] == "openstack" and parts[2] == "password"


def _keep_password(cloud: Cloud, params: dict[str, Any]) -> dict[str, Any]:
    """What the guest says its password is, for `os-server-password`. It may say so once."""
    try:
        password = base64.b64decode(str(params.get("body_base64", ""))).decode()
    except ValueError:
        return _reply(400, b"The password must be text.\n")
    if len(password.encode()) > _LONGEST_PASSWORD_BYTES:
        return _reply(400, b"The password is longer than 1020 bytes.\n")
    with cloud.db.write() as tx:
        row = _asker(tx, params)
        if row is None:
            return _reply(404, _STRANGER)
        if row.posted_password:
            return _reply(409, b"There is a password already. Clear it first: DELETE os-server-password.\n")
        tx.update(Server, row.id, posted_password=password)
    return _reply(200, b"")


def _asker(tx: Tx, params: dict[str, Any]) -> Row[Any] | None:
    where = params.get("network_id") or params.get("router_id")
    if not where or not params.get("ip"):
        return None
    server_id = network.metadata_ports(tx, str(where), str(params["ip"]))
    row = tx.find(Server, server_id) if server_id else None
    return row if row is not None and not row.deleted else None


def _facts(tx: Tx, cloud: Cloud, params: dict[str, Any]) -> Facts | None:
    row = _asker(tx, params)
    return gather(tx, cloud, row) if row is not None else None


def _reply(status: int, body: bytes, kind: str = "text/plain; charset=UTF-8") -> dict[str, Any]:
    return {
        "status": status,
        "headers": {"Content-Type": kind},
        "body_base64": base64.b64encode(body).decode(),
    }


def look_up(facts: Facts, path: str) -> tuple[bytes, str]:
    """(content, content type) of a path. Raises Missing."""
    parts = [part for part in path.split("/") if part]
    text = "text/plain; charset=UTF-8"
    if not parts:
        return "\n".join((*ec2.VERSIONS, "latest")).encode(), text
    if parts[0] == "openstack":
        return _openstack(facts, parts[1:])
    if parts[0] not in (*ec2.VERSIONS, "latest"):
        raise Missing
    rest = parts[1:]
    if not rest:
        return (b"meta-data/\nuser-data" if facts.user_data is not None else b"meta-data/"), text
    if rest == ["user-data"]:
        return _user_data(facts)
    if rest[0] != "meta-data":
        raise Missing
    found = ec2.look_up(facts, rest[1:])
    if found is None:
        raise Missing
    return found.encode(), text


def _user_data(facts: Facts) -> tuple[bytes, str]:
    if facts.user_data is None:
        raise Missing
    return facts.user_data, "application/octet-stream"


def _openstack(facts: Facts, parts: list[str]) -> tuple[bytes, str]:
    text, json = "text/plain; charset=UTF-8", "application/json"
    if not parts:
        return "\n".join((*openstack.VERSIONS, "latest")).encode(), text
    if parts[0] == "content":
        return _content(facts, parts[1:])
    if parts[0] not in (*openstack.VERSIONS, "latest"):
        raise Missing
    if len(parts) == 1:
        names = ["meta_data.json", "password", "vendor_data.json", "network_data.json", "vendor_data2.json"]
        return "\n".join(names + (["user_data"] if facts.user_data is not None else [])).encode(), text
    name = parts[1]
    if name == "meta_data.json":
        return msgspec.json.encode(openstack.meta_data(facts)), json
    if name == "network_data.json":
        return msgspec.json.encode(openstack.network_data(facts)), json
    if name in ("vendor_data.json", "vendor_data2.json"):
        return b"{}", json
    if name == "password":
        return (facts.server.posted_password or "").encode(), text
    if name == "user_data":
        return _user_data(facts)
    raise Missing


def _content(facts: Facts, parts: list[str]) -> tuple[bytes, str]:
    files = facts.server.personality or []
    number = whole_number(parts[0]) if len(parts) == 1 else None
    if number is None or number >= len(files):
        raise Missing
    return base64.b64decode("".join(str(files[number].get("contents", "")).split())), "application/octet-stream"
