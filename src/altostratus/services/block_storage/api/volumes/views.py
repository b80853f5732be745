# SPDX-License-Identifier: Apache-2.0
"""Volumes as the caller may see them."""

from typing import Any

import msgspec

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fragments import Fragments
from altostratus.kernel.resource.operations import Reply
from altostratus.kernel.resource.versions import Version
from altostratus.services.block_storage.logic.views import Shape, volume_views

OLDEST = Version(3, 0)


def shape_of(call: Call) -> Shape:
    """What the caller's rights, version and URL make of a volume."""
    project = f"/{call.ctx.project_id}" if call.ctx.project_id else ""
    return Shape(
        version=call.version or OLDEST,
        base_url=f"{call.host_url}{call.service.path}{project}",
        root_url=f"{call.host_url}{call.service.root}{project}",
        hosts=call.may("volume_extension:volume_host_attribute"),
        tenants=call.may("volume_extension:volume_tenant_attribute"),
        migrations=call.may("volume_extension:volume_mig_status_attribute"),
        server_hosts=call.ctx.is_admin or call.ctx.is_service,
        image_metadata=call.may("volume_extension:volume_image_metadata:show"),
    )


def fragments(call: Call, rows: list[Any]) -> list[msgspec.Raw]:
    """Detailed JSON of rows that have `id` and `etag`, in their order."""
    shape = shape_of(call)
    keys = [(row.id, row.etag) for row in rows]
    return call.cloud.part(Fragments).many(("volume", shape), keys, lambda ids: volume_views(call.tx, shape, ids))


def shown(call: Call, volume_id: str, status: int = 200) -> Reply:
    """The volume as it is now, as answers to create and update show it: without what extensions add."""
    shape = shape_of(call)._replace(hosts=False, tenants=False, migrations=False, image_metadata=False)
    return Reply(status, {"volume": volume_views(call.tx, shape, [volume_id])[volume_id]})
