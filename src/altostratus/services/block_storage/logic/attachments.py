# SPDX-License-Identifier: Apache-2.0
"""Who has a volume. The volume's status follows from its attachments.

available --reserve--> reserved --connect--> attaching --complete--> in-use --begin_detach--> detaching
"""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.services.block_storage.logic import volumes
from altostratus.services.block_storage.models.volumes import Attachment, Volume


def of_volume(tx: Tx, volume_id: str) -> list[Row[Any]]:
    table = table_of(Attachment)
    return tx.rows(select(table).where(table.c.volume_id == volume_id).order_by(table.c.created_at, table.c.id))


def get_attachment(tx: Tx, attachment_id: str) -> Row[Any]:
    """Raises NotFound."""
    row = tx.find(Attachment, attachment_id)
    if row is None:
        raise NotFound(f"Volume attachment could not be found with filter: attachment_id = {attachment_id}.")
    return row


def reserve(
    tx: Tx, volume_id: str, server_id: str | None, *, mountpoint: str | None, mode: str | None, status: str = "reserved"
) -> str:
    """A new attachment in `status`; the volume gets the same status. Raises BadRequest if it is not free."""
    volume = tx.get(Volume, volume_id, what="volume")
    free = ("available", "in-use") if volume.multiattach else ("available",)
    if volume.status not in free:
        again = server_id is not None and volume.status in ("in-use", "reserved")
        if not again or all(one.server_id != server_id for one in of_volume(tx, volume_id)):
            raise BadRequest(
                f"Invalid volume: Volume {volume_id} status must be {' or '.join(free)} to reserve, but the current "
                f"status is {volume.status}."
            )
    attachment_id = ids.new_id()
    tx.insert(
        Attachment, id=attachment_id, volume_id=volume_id, project_id=volume.project_id, server_id=server_id,
        mountpoint=mountpoint, mode="ro" if volume.readonly else mode, status=status, connector={},
        connection_info={}, created_at=clock.now(),
    )  # fmt: skip
    volumes.change(tx, volume_id, status=status if volume.status != "in-use" else "in-use")
    return attachment_id


def connection_info(volume: Row[Any], attachment_id: str | None) -> dict[str, Any]:
    """How a host on which the data lies opens it: the file itself."""
    mode = "ro" if volume.readonly else "rw"
    data = {
        "device_path": volume.path,
        "format": volume.format,
        "volume_id": volume.id,
        "access_mode": mode,
        "qos_specs": None,
        "encrypted": False,
        "cacheable": False,
    }
    return {"driver_volume_type": "local", "data": data, "attachment_id": attachment_id} | data


def connect(tx: Tx, attachment: Row[Any], connector: dict[str, Any]) -> None:
    """reserved -> attaching, now that the host is known."""
    volume = tx.get(Volume, attachment.volume_id, what="volume")
    info = connection_info(volume, attachment.id)
    tx.update(
        Attachment, attachment.id, status="attaching", connector=connector, connection_info=info,
        host=connector.get("host"), mountpoint=connector.get("mountpoint") or attachment.mountpoint,
        mode=connector.get("mode") or attachment.mode,
    )  # fmt: skip
    if volume.status == "reserved":
        volumes.change(tx, volume.id, status="attaching")


def complete(tx: Tx, attachment_id: str) -> None:
    """The server has it: attached and in-use."""
    row = get_attachment(tx, attachment_id)
    tx.update(Attachment, attachment_id, status="attached", attached_at=clock.now())
    volumes.change(tx, row.volume_id, status="in-use", attach_status="attached")


def begin_detach(tx: Tx, attachment_id: str) -> None:
    """attached -> detaching. Raises BadRequest in any other state."""
    row = get_attachment(tx, attachment_id)
    if row.status not in ("attached", "detaching"):
        raise BadRequest(
            f"Invalid volume: Unable to detach volume. Attachment {attachment_id} must be 'attached' to detach, "
            f"it is {row.status}."
        )
    tx.update(Attachment, attachment_id, status="detaching")
    begin_detaching(tx, tx.get(Volume, row.volume_id))


def roll_back_detach(tx: Tx, attachment_id: str) -> None:
    """detaching -> attached."""
    row = get_attachment(tx, attachment_id)
    if row.status == "detaching":
        tx.update(Attachment, attachment_id, status="attached")
    roll_detaching(tx, tx.get(Volume, row.volume_id))


def begin_detaching(tx: Tx, volume: Row[Any]) -> None:
    if volume.status == "detaching":
        return
    if volume.status != "in-use" or volume.attach_status != "attached":
        raise BadRequest(
            "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be "
            f"'attached' to detach. It is {volume.status}."
        )
    volumes.change(tx, volume.id, status="detaching")


def roll_detaching(tx: Tx, volume: Row[Any]) -> None:
    if volume.status == "detaching":
        volumes.change(tx, volume.id, status="in-use")


def detach(tx: Tx, attachment_id: str) -> str | None:
    """Remove the attachment; without others the volume is available again. Its id; None if it was gone already."""
    row = tx.find(Attachment, attachment_id)
    if row is None:
        return None
    tx.delete(Attachment, attachment_id)
    settle(tx, row.volume_id)
    return str(row.volume_id)


def settle(tx: Tx, volume_id: str) -> None:
    """The status that follows from the attachments that are left."""
    left = [one.status for one in of_volume(tx, volume_id)]
    if any(status in ("attached", "detaching") for status in left):
        volumes.change(tx, volume_id, status="in-use", attach_status="attached")
    elif left:
        volumes.change(tx, volume_id, status=left[0], attach_status="detached")
    else:
        volumes.change(tx, volume_id, status="available", attach_status="detached")
