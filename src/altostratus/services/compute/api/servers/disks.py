# SPDX-License-Identifier: Apache-2.0
"""Actions around disks and sizes: images of servers, rebuilding, resizing."""

from typing import Any

from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.policy import MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action, Reply
from altostratus.services.compute.api.servers import listing, schemas
from altostratus.services.compute.api.servers.changes import new_password
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.servers.power import start_job
from altostratus.services.compute.api.servers.resource import Server
from altostratus.services.compute.api.shared import (
    BOOLEAN,
    DESCRIPTION,
    METADATA,
    NAME,
    UUID,
    at,
    closed,
    links,
    wrapped,
)
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.jobs.create_image import CREATE_IMAGE
from altostratus.services.compute.jobs.rebuild import REBUILD
from altostratus.services.compute.jobs.resize import CONFIRM_RESIZE, RESIZE, REVERT_RESIZE
from altostratus.services.compute.logic import flavors, keypairs, limits, servers, snapshots
from altostratus.services.compute.logic.building import images
from altostratus.services.compute.models.servers import Server as ServerRow

_CREATE_IMAGE = wrapped("createImage", closed({"name": NAME, "metadata": METADATA}, "name"))
_BACKUP = wrapped(
    "createBackup",
    closed(
        {
            "name": NAME,
            "backup_type": {"type": "string"},
            "rotation": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0},
            "metadata": METADATA,
        },
        "name", "backup_type", "rotation",
    ),
)  # fmt: skip
_RESIZE = wrapped(
    "resize", closed({"flavorRef": schemas.FLAVOR_REF, "OS-DCF:diskConfig": schemas.DISK_CONFIG}, "flavorRef")
)
_NULLABLE_DATA = {**schemas.BASE64, "type": ["string", "null"]}
_NULLABLE_NAME = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}


def create_image(call: Call) -> Reply:
    """Make an image of the root disk; the server goes on running."""
    demand(call, "createImage", ("active", "stopped", "paused", "suspended"))
    metadata = call.body.get("metadata") or {}
    limits.demand_metadata(call.tx, call.cloud, call.row.project_id, len(metadata))
    name = call.body["name"]
    if _root(call) is not None and _root(call).destination_type == "volume":
        call.demand("os_compute_api:servers:create_image:allow_volume_backed", dict(call.row._mapping))
        image_id = snapshots.volume_image(call, name, metadata)
        return _made(call, image_id)
    image_id = snapshots.new_image(call.tx, call.cloud, call.ctx, call.row, name, metadata)
    return _imaging(call, image_id)


def _root(call: Call) -> Any:
    devices = servers.devices_of(call.tx, [call.row.id])[call.row.id]
    return next((one for one in devices if one.boot_index == 0), None)


def create_backup(call: Call) -> Reply:
    """An image that is marked as one of a row of backups."""
    demand(call, "createBackup", ("active", "stopped", "paused", "suspended"))
    kind = call.body["backup_type"]
    image_id = snapshots.new_image(
        call.tx, call.cloud, call.ctx, call.row, call.body["name"], call.body.get("metadata") or {},
        image_type="backup", backup_type=kind,
    )  # fmt: skip
    return _imaging(call, image_id, {"backup_type": kind, "rotation": int(call.body["rotation"])})


def _imaging(call: Call, image_id: str, backup: dict[str, Any] | None = None) -> Reply:
    start_job(call, CREATE_IMAGE, {"image_id": image_id, **(backup or {})})
    return _made(call, image_id)


def _made(call: Call, image_id: str) -> Reply:
    headers = {"Location": f"{call.host_url}/image/v2/images/{image_id}"}
    return Reply(202, {"image_id": image_id}, headers=headers) if at(call, 45) else Reply(202, headers=headers)


def rebuild(call: Call) -> Reply:
    """A fresh root disk; id, addresses and volumes stay."""
    demand(call, "rebuild", ("active", "stopped", "error"))
    row, body = call.row, call.body
    root = _root(call)
    if row.host is None:
        raise Conflict(f"Instance {row.id} is not on any host, so it cannot be rebuilt. Delete it and create another.")
    if root is None or root.destination_type != "local":
        raise BadRequest(
            "Unable to rebuild a volume-backed server with an image. Detach or re-image its volume instead."
        )
    found = images.get_usable(call.tx, call.ctx, body["imageRef"])
    images.demand_fits(found, row.flavor["ram"], row.flavor["disk"])
    values = _rebuilt_values(call, body)
    servers.touch(
        call.tx,
        row.id,
        image_id=found.id,
        image_properties=images.properties_of(found),
        **values,
    )
    start_job(call, REBUILD, {"keep_stopped": row.vm_state == "stopped"})
    fresh = call.tx.get(ServerRow, row.id)
    servers.notify(call.tx, call.cloud, fresh, "rebuild.start")
    shown = listing.render_changed(call, fresh, Server)
    shown.pop("OS-EXT-SRV-ATTR:user_data", None)
    if at(call, 57):
        shown["user_data"] = fresh.user_data
    if at(call, 54):
        shown["key_name"] = fresh.key_name
    if call.cloud[ComputeOptions].enable_server_password:
        shown["adminPass"] = body.get("adminPass") or new_password()
    return Reply(202, {"server": shown}, headers={"Location": links(call, "servers", row.id)[0]["href"]})


def _rebuilt_values(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    columns = {
        "name": "name",
        "description": "description",
        "accessIPv4": "access_ip_v4",
        "accessIPv6": "access_ip_v6",
        "metadata": "custom_metadata",
        "user_data": "user_data",
        "hostname": "hostname",
        "OS-DCF:diskConfig": "disk_config",
        "personality": "personality",
        "trusted_image_certificates": "trusted_certs",
    }
    values = {column: body[name] for name, column in columns.items() if name in body}
    if "access_ip_v6" in values:
        values["access_ip_v6"] = schemas.canonical_ip(values["access_ip_v6"])
    if "custom_metadata" in values:
        limits.demand_metadata(call.tx, call.cloud, call.row.project_id, len(values["custom_metadata"]))
    if "key_name" in body:
        name = body["key_name"]
        key = keypairs.find_keypair(call.tx, call.row.user_id, name) if name else None
        if name and key is None:
            raise BadRequest(f"Invalid key_name provided: there is no key pair {name!r}.")
        values["key_name"] = name
        values["key_data"] = {"name": key.name, "public_key": key.public_key, "type": key.type} if key else None
    return values


def resize(call: Call) -> None:
    """Take another flavor, to be confirmed or reverted afterwards."""
    demand(call, "resize", ("active", "stopped"))
    flavor = flavors.get_flavor(call.tx, call.ctx, str(call.body["flavorRef"]))
    row = call.row
    if flavor.flavorid == row.flavor_id:
        raise BadRequest("When resizing, instances must change flavor!")
    if row.image_id and flavor.disk < row.flavor["disk"]:
        raise BadRequest(
            f"Flavor's disk is too small: a disk of {row.flavor['disk']} GiB cannot shrink to {flavor.disk} GiB."
        )
    limits.affordable_growth(
        call.tx, call.cloud, row.project_id, vcpus=flavor.vcpus - row.vcpus, ram=flavor.ram - row.memory_mib
    )
    kept = flavors.snapshot_of(flavor)
    kept.pop("id")
    start_job(call, RESIZE, {"flavor": kept, "flavor_id": flavor.flavorid})


def confirm_resize(call: Call) -> Reply:
    """Keep the new flavor."""
    demand(call, "confirmResize", ("resized",))
    start_job(call, CONFIRM_RESIZE)
    return Reply(204)


def revert_resize(call: Call) -> None:
    """Go back to the flavor from before."""
    demand(call, "revertResize", ("resized",))
    start_job(call, REVERT_RESIZE)


def _rebuild_body(minor: int) -> dict[str, Any]:
    members: dict[str, Any] = {
        "name": NAME,
        "imageRef": UUID,
        "adminPass": {"type": "string"},
        "metadata": METADATA,
        "preserve_ephemeral": BOOLEAN,
        "OS-DCF:diskConfig": schemas.DISK_CONFIG,
        "accessIPv4": schemas.IPV4,
        "accessIPv6": schemas.IPV6,
    }
    if minor < 57:
        members["personality"] = schemas.PERSONALITY
    if minor >= 19:
        members["description"] = DESCRIPTION
    if minor >= 54:
        members["key_name"] = _NULLABLE_NAME
    if minor >= 57:
        members["user_data"] = _NULLABLE_DATA
    if minor >= 63:
        members["trusted_image_certificates"] = schemas.CERTIFICATES
    if minor >= 90:
        members["hostname"] = schemas.HOSTNAME if minor < 94 else schemas.FQDN
    return wrapped("rebuild", closed(members, "imageRef"))


def _rebuild(minor: int, until: str | None) -> Action:
    return Action(
        "rebuild", "os_compute_api:servers:rebuild", MEMBER, rebuild, body=_rebuild_body(minor),
        since=f"2.{minor}", until=until,
    )  # fmt: skip


class ServerDisks(ServerChild, path="/servers"):
    """Images, rebuilding and resizing."""

    create_image = Action(
        "createImage", "os_compute_api:servers:create_image", MEMBER, create_image, body=_CREATE_IMAGE
    )
    create_backup = Action("createBackup", "os_compute_api:os-create-backup", MEMBER, create_backup, body=_BACKUP)
    rebuild = _rebuild(1, "2.18")
    rebuild_19 = _rebuild(19, "2.53")
    rebuild_54 = _rebuild(54, "2.56")
    rebuild_57 = _rebuild(57, "2.62")
    rebuild_63 = _rebuild(63, "2.89")
    rebuild_90 = _rebuild(90, "2.93")
    rebuild_94 = _rebuild(94, None)
    resize = Action("resize", "os_compute_api:servers:resize", MEMBER, resize, body=_RESIZE)
    confirm_resize = Action(
        "confirmResize",
        "os_compute_api:servers:confirm_resize",
        MEMBER,
        confirm_resize,
        body=wrapped("confirmResize", {}),
    )
    revert_resize = Action(
        "revertResize", "os_compute_api:servers:revert_resize", MEMBER, revert_resize, body=wrapped("revertResize", {})
    )
