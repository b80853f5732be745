# SPDX-License-Identifier: Apache-2.0
"""Images of servers: what a snapshot's image is like before it has content."""

import json
from typing import Any

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import Conflict
from altostratus.kernel.resource.call import Call
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.logic import servers
from altostratus.services.image import public as image

# what belongs to the old image alone
_NOT_INHERITED = frozenset(
    ("disk_format", "container_format", "min_disk", "min_ram", "image_name", "cache_in_nova", "bittorrent", "checksum")
)


def new_image(
    tx: Tx, cloud: Cloud, ctx: Context, row: Row[Any], name: str, metadata: dict[str, str], **more: str
) -> str:
    """The id of a queued image that the server's root disk will fill. Raises Conflict for volume-backed servers."""
    root = next((one for one in servers.devices_of(tx, [row.id])[row.id] if one.boot_index == 0), None)
    if root is None or root.destination_type != "local":
        raise Conflict(
            f"Server {row.id} boots from volume {root.volume_id if root else '(none)'}: make a snapshot or an image of "
            "the volume instead (volume snapshot create, image create --volume)."
        )
    properties = _properties(ctx, row) | more | metadata
    size = max(int(root.size_gib or 0), int((row.image_properties or {}).get("min_disk") or 0))
    return image.create_snapshot_image(
        tx,
        cloud,
        ctx,
        name=name,
        disk_format="qcow2",
        properties=properties,
        min_disk_gib=size,
        min_ram_mib=int((row.image_properties or {}).get("min_ram") or 0),
    )


def _properties(ctx: Context, row: Row[Any]) -> dict[str, str]:
    inherited = {key: str(value) for key, value in (row.image_properties or {}).items() if key not in _NOT_INHERITED}
    return inherited | {
        "image_type": "snapshot",
        "instance_uuid": row.id,
        "user_id": ctx.user_id,
        "owner_id": ctx.project_id or row.project_id,
        "owner_project_name": ctx.names.get("project_name", ""),
        "owner_user_name": ctx.names.get("user_name", ""),
        "base_image_ref": row.image_id or "",
        "image_location": "snapshot",
        "image_state": "available",
        "boot_roles": ",".join(sorted(ctx.roles)),
    }


def volume_image(call: Call, name: str, metadata: dict[str, str]) -> str:
    """The id of an image without data that says which snapshots of the server's volumes to boot from."""
    tx, cloud, ctx, row = call.tx, call.cloud, call.ctx, call.row
    mappings = []
    for device in servers.devices_of(tx, [row.id])[row.id]:
        if device.volume_id is None:
            continue
        snapshot_id = block_storage.create_snapshot(
            tx, cloud, ctx, device.volume_id, name=f"snapshot for {name}", request_id=call.request_id
        )
        mappings.append(
            {
                "source_type": "snapshot",
                "destination_type": "volume",
                "snapshot_id": snapshot_id,
                "boot_index": device.boot_index,
                "volume_size": device.size_gib,
                "delete_on_termination": device.delete_on_termination,
                "device_name": "/dev/" + (device.device_name or ""),
                "disk_bus": device.disk_bus,
                "device_type": device.device_type or "disk",
                "tag": device.tag,
            }
        )
    properties = _properties(ctx, row) | {
        "block_device_mapping": json.dumps(mappings),
        "bdm_v2": "True",
        "root_device_name": "/dev/" + (row.root_device_name or "vda"),
    }
    return image.create_empty_image(tx, cloud, ctx, name=name, properties=properties | metadata)
