# SPDX-License-Identifier: Apache-2.0
"""Servers and their block devices.

A row holds facts and wishes. What is going on (`task_state`) is not here: it is a view of the server's
active job. Deleted servers stay for usage records and `changes-since`, with `deleted` set.
"""

from typing import Any

from sqlalchemy import Index, Text

from altostratus.kernel.db import Mapped, Model, mapped_column


class Server(Model):
    """One server.

    vm_state          building active stopped paused suspended error rescued resized deleted ...
    power_state       0 nothing known, 1 running, 3 paused, 4 shut down, 6 crashed, 7 suspended
    wanted_power      running, stopped, paused or suspended: what the host is asked for
    pinned_zone       the zone the user asked for; `availability_zone` is where it is
    flavor            the flavor as it was at create or resize: its API members and `extra_specs`
    image_properties  of the image it was made from
    nics              ids of the ports whose cards the host is asked to show to the guest, in order
    requested_nics    what the create asked for: {"port_id", "network_id", "fixed_ip", "tag"} each
    fault             {"code", "message", "details", "created"} of the last failure
    """

    __tablename__ = "servers"
    __table_args__ = (
        Index("ix_servers_project", "project_id", "deleted", "created_at"),
        Index("ix_servers_host", "host", "deleted"),
        Index("ix_servers_listing", "deleted", "created_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    name: Mapped[str]
    hostname: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[str]
    updated_at: Mapped[str]
    launched_at: Mapped[str | None]
    terminated_at: Mapped[str | None]
    deleted: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[str | None]
    reservation_id: Mapped[str]
    launch_index: Mapped[int] = mapped_column(default=0)
    vm_state: Mapped[str] = mapped_column(default="building")
    power_state: Mapped[int] = mapped_column(default=0)
    progress: Mapped[int] = mapped_column(default=0)
    host: Mapped[str | None]
    availability_zone: Mapped[str | None]
    pinned_zone: Mapped[str | None]
    flavor: Mapped[dict[str, Any]]
    flavor_id: Mapped[str]
    old_flavor: Mapped[dict[str, Any] | None]
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    image_id: Mapped[str | None]
    image_properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    key_name: Mapped[str | None]
    key_data: Mapped[dict[str, Any] | None]
    user_data: Mapped[str | None] = mapped_column(Text)
    posted_password: Mapped[str | None] = mapped_column(Text)
    config_drive: Mapped[bool] = mapped_column(default=False)
    personality: Mapped[list[Any] | None]
    access_ip_v4: Mapped[str | None]
    access_ip_v6: Mapped[str | None]
    disk_config: Mapped[str] = mapped_column(default="MANUAL")
    locked_by: Mapped[str | None]
    locked_reason: Mapped[str | None]
    custom_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[list[Any]] = mapped_column(default=list)
    root_device_name: Mapped[str | None]
    fault: Mapped[dict[str, Any] | None]
    server_group_id: Mapped[str | None]
    scheduler_hints: Mapped[dict[str, Any]] = mapped_column(default=dict)
    trusted_certs: Mapped[list[Any] | None]
    wanted_power: Mapped[str] = mapped_column(default="running")
    power_token: Mapped[str | None]
    reboot_token: Mapped[str | None]
    reboot_kind: Mapped[str] = mapped_column(default="soft")
    snapshot_token: Mapped[str | None]
    snapshot_path: Mapped[str | None] = mapped_column(Text)
    fill_token: Mapped[str | None]
    delete_requested: Mapped[bool] = mapped_column(default=False)
    nics: Mapped[list[Any]] = mapped_column(default=list)
    requested_nics: Mapped[list[Any]] = mapped_column(default=list)
    requested_groups: Mapped[list[Any]] = mapped_column(default=list)
    requested_host: Mapped[str | None]


class ConfigDrive(Model):
    """The files of a server's config drive (path to base64), as they were when it was built."""

    __tablename__ = "server_config_drives"
    server_id: Mapped[str] = mapped_column(primary_key=True)
    files: Mapped[dict[str, Any]]


class BlockDevice(Model):
    """One disk of a server: local (made on the host) or a volume.

    `source_type` is image, volume, snapshot or blank; `destination_type` local or volume. `position` keeps
    the order in which they were asked for. `wired` says that the host is asked to show the disk to the guest;
    `base_image` is what a local disk was made from, remembered because the image may be deleted later.
    """

    __tablename__ = "block_devices"
    __table_args__ = (Index("ix_block_devices_server", "server_id"), Index("ix_block_devices_volume", "volume_id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    server_id: Mapped[str]
    position: Mapped[int]
    source_type: Mapped[str]
    destination_type: Mapped[str]
    boot_index: Mapped[int | None]
    image_id: Mapped[str | None]
    snapshot_id: Mapped[str | None]
    volume_id: Mapped[str | None]
    attachment_id: Mapped[str | None]
    size_gib: Mapped[int | None]
    size_mib: Mapped[int] = mapped_column(default=0)
    volume_type: Mapped[str | None]
    device_name: Mapped[str | None]
    device_type: Mapped[str | None]
    disk_bus: Mapped[str | None]
    guest_format: Mapped[str | None]
    delete_on_termination: Mapped[bool] = mapped_column(default=False)
    tag: Mapped[str | None]
    base_image: Mapped[dict[str, Any] | None]
    wired: Mapped[bool] = mapped_column(default=False)
