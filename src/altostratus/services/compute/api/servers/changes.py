# SPDX-License-Identifier: Apache-2.0
"""Making, changing and deleting servers."""

import secrets
import string
from typing import Any

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import parse_bool
from altostratus.kernel.resource.operations import Reply
from altostratus.services.compute.api.servers import listing
from altostratus.services.compute.api.servers.child import demand
from altostratus.services.compute.api.shared import links
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.jobs.delete import DELETE
from altostratus.services.compute.logic import servers
from altostratus.services.compute.logic.building import request
from altostratus.services.compute.models.servers import Server

_PASSWORD_LENGTH = 12


def new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(_PASSWORD_LENGTH))


def create_server(call: Call) -> Reply:
    """Ask for one server or several; they are built after the answer."""
    body = call.body
    hints = call.raw.get("os:scheduler_hints") or call.raw.get("OS-SCH-HNT:scheduler_hints") or {}
    _demand_rights(call, body)
    wanted = request.check(call.tx, call.cloud, call.ctx, body, hints)
    if wanted.image_id and wanted.flavor.disk == 0:
        call.demand("os_compute_api:servers:create:zero_disk_flavor")
    made, reservation_id = request.create(call.tx, call.cloud, call.ctx, wanted, call.request_id)
    if parse_bool(body.get("return_reservation_id")):
        return Reply(202, {"reservation_id": reservation_id})
    shown: dict[str, Any] = {
        "id": made[0],
        "links": links(call, "servers", made[0]),
        "OS-DCF:diskConfig": body.get("disk_config") or "MANUAL",
        "security_groups": body.get("security_groups") or [{"name": "default"}],
    }
    if call.cloud[ComputeOptions].enable_server_password:
        shown["adminPass"] = body.get("adminPass") or new_password()
    return Reply(202, {"server": shown}, headers={"Location": shown["links"][0]["href"]})


def _demand_rights(call: Call, body: dict[str, Any]) -> None:
    rule = "os_compute_api:servers:create"
    if request.parse_zone(body.get("availability_zone")).host is not None:
        call.demand(f"{rule}:forced_host")
        if body.get("host") or body.get("hypervisor_hostname"):
            raise BadRequest(
                "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are "
                "mutually exclusive."
            )
    if body.get("host") or body.get("hypervisor_hostname"):
        call.demand("compute:servers:create:requested_destination")
    if body.get("block_device_mapping") or body.get("block_device_mapping_v2"):
        call.demand(f"{rule}:attach_volume")
    if body.get("networks") and body["networks"] != "none":
        call.demand(f"{rule}:attach_network")
    if body.get("trusted_image_certificates"):
        call.demand(f"{rule}:trusted_certs")


def update_server(call: Call) -> Reply:
    """Change the name, the description or the access addresses."""
    columns = {"name": "name", "description": "description", "hostname": "hostname", "disk_config": "disk_config"}
    columns |= {"accessIPv4": "access_ip_v4", "accessIPv6": "access_ip_v6"}
    values = {columns[name]: value for name, value in call.body.items() if name in columns}
    servers.touch(call.tx, call.row.id, **values)
    row = call.reload()
    servers.notify(call.tx, call.cloud, row, "update", old_display_name=call.row.name)
    return Reply(200, {"server": listing.render_changed(call, row, call.resource)})


def delete_server(call: Call) -> Reply:
    """Delete it; what it holds is given back by a job."""
    demand(call, "delete", None, any_task=True)
    begin_delete(call, call.row)
    return Reply(204)


def begin_delete(call: Call, row: Any) -> None:
    """Start the deletion once; what is under way with the server turns round first."""
    if row.delete_requested:
        return
    servers.touch(call.tx, row.id, delete_requested=True)
    call.cloud.jobs.start(
        call.tx,
        DELETE,
        row.id,
        request_id=call.request_id,
        project_id=call.ctx.project_id,
        user_id=call.ctx.user_id,
    )
    servers.notify(call.tx, call.cloud, call.tx.get(Server, row.id), "delete.start")
