# SPDX-License-Identifier: Apache-2.0
"""Images of servers: what a snapshot's image is like before it has content."""

from typing import Any

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import Conflict
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
    inherited = {key: str(value) for key, value in (row.image_properties or {}).items() if key not in _NOT_INHERITED}
    properties = inherited | {
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
        **more,
        **metadata,
    }
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
