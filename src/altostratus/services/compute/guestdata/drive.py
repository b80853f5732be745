# SPDX-License-Identifier: Apache-2.0
"""The config drive: the same documents as files. Built once, so that it does not change under a guest."""

import base64
from typing import Any

import msgspec

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.compute.guestdata import ec2, openstack
from altostratus.services.compute.guestdata.facts import Facts, gather
from altostratus.services.compute.models.servers import ConfigDrive

# the newest that cloud-init knows, the oldest that small guests read, and "latest"
_VERSIONS = ("2012-08-10", "2018-08-27", "latest")


def files_of(facts: Facts) -> dict[str, str]:
    """Path below the root of the drive -> content in base64."""
    meta = _json(openstack.meta_data(facts))
    network = _json(openstack.network_data(facts))
    files = {"ec2/latest/meta-data.json": _json(_plain(ec2.tree(facts)))}
    for version in _VERSIONS:
        folder = f"openstack/{version}"
        files[f"{folder}/meta_data.json"] = meta
        if version != "2012-08-10":
            files[f"{folder}/network_data.json"] = network
            files[f"{folder}/vendor_data.json"] = _json({})
            files[f"{folder}/vendor_data2.json"] = _json({})
        if facts.user_data is not None:
            files[f"{folder}/user_data"] = base64.b64encode(facts.user_data).decode()
    if facts.user_data is not None:
        files["ec2/latest/user-data"] = base64.b64encode(facts.user_data).decode()
    for place, one in enumerate(facts.server.personality or ()):
        files[f"openstack/content/{place:04d}"] = "".join(str(one.get("contents", "")).split())
    return files


def _json(value: Any) -> str:
    return base64.b64encode(msgspec.json.encode(value)).decode()


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(value) if isinstance(value, dict) else value for name, value in node.items() if name != "_name"
    }


def ensure_drive(tx: Tx, cloud: Cloud, server: Row[Any]) -> None:
    """Build the drive if it was not built yet."""
    if tx.find(ConfigDrive, server.id) is None:
        tx.insert(ConfigDrive, server_id=server.id, files=files_of(gather(tx, cloud, server)))


def renew_drive(tx: Tx, cloud: Cloud, server: Row[Any]) -> None:
    """Build it again (rebuild)."""
    tx.delete(ConfigDrive, server.id)
    ensure_drive(tx, cloud, server)
