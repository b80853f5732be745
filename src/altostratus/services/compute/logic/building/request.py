# SPDX-License-Identifier: Apache-2.0
"""A request for new servers, checked whole and then written: rows, reservations and a job for each."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from altostratus.kernel import clock, ids
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from altostratus.kernel.resource.fields import parse_bool
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.jobs.create import CREATE
from altostratus.services.compute.logic import devices as device_rows
from altostratus.services.compute.logic import flavors, groups, hosts, keypairs, limits, servers
from altostratus.services.compute.logic.building import devices, images, naming
from altostratus.services.compute.logic.building.devices import Device
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.network import public as network
from altostratus.services.network.public import RequestedNic

_MOST_USER_DATA = 65535


@dataclass(frozen=True, slots=True)
class Zone:
    """What `availability_zone` says: a zone, and for administrators `zone:host:node`."""

    name: str | None = None
    host: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewServers:
    """Everything that was asked for, checked."""

    body: dict[str, Any]
    flavor: Row[Any]
    image_id: str | None
    image_properties: dict[str, Any]
    devices: list[Device]
    nics: list[RequestedNic]
    security_groups: list[str]
    zone: Zone
    keypair: Row[Any] | None
    hints: dict[str, Any]
    group_id: str | None
    least: int = 1
    most: int = 1
    config_drive: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def parse_zone(text: str | None) -> Zone:
    """Raises BadRequest for more than three parts."""
    if not text:
        return Zone()
    parts = text.split(":")
    if len(parts) > 3:
        raise BadRequest(f"Unable to parse availability_zone {text!r}: write zone, or zone:host.")
    host = parts[1] if len(parts) > 1 and parts[1] else parts[2] if len(parts) > 2 and parts[2] else None
    return Zone(parts[0] or None, host)


def demand_zone(tx: Tx, cloud: Cloud, zone: Zone) -> None:
    """Raises BadRequest for a zone or host that does not exist."""
    by_zone = hosts.zones(tx, cloud)
    if zone.host is not None:
        known = {host.name for members in by_zone.values() for host in members}
        if zone.host not in known:
            raise BadRequest(f"Compute host {zone.host} could not be found.", kind="ComputeHostNotFound")
        return
    if zone.name is None or zone.name in by_zone:
        return
    if zone.name == cloud[ComputeOptions].default_availability_zone and not by_zone:
        return
    raise BadRequest(
        f"The requested availability zone is not available: {zone.name}. Known: {', '.join(sorted(by_zone)) or 'none'}."
    )


def check(tx: Tx, cloud: Cloud, ctx: Context, body: dict[str, Any], hints: dict[str, Any]) -> NewServers:
    """Everything that can be refused is refused here, before anything is written."""
    least = int(body.get("min_count") or 1)
    most = int(body.get("max_count") or least)
    if least > most:
        raise BadRequest("min_count must be <= max_count")
    flavor = flavors.get_flavor(tx, ctx, str(body["flavorRef"]))
    image_id = body.get("imageRef") or None
    asked = body.get("block_device_mapping_v2")
    stands_for = devices.mappings_of_image(images.get_usable(tx, ctx, image_id)) if image_id else []
    if stands_for:
        image_id = None
        taken = {one.get("boot_index") for one in asked or () if one.get("boot_index") is not None}
        asked = [*(asked or ()), *(one for one in stands_for if one.get("boot_index") not in taken)]
    wished = devices.parse_devices(asked, body.get("block_device_mapping"), image_id)
    if not wished:
        raise BadRequest("Missing imageRef attribute: give an image, or a boot disk in block_device_mapping_v2.")
    wished = devices.with_flavor(wished, flavor)
    devices.demand_boot_order(wished)
    properties = devices.demand_sources(tx, ctx, wished, flavor)
    root = next(device for device in wished if device.is_root)
    _check_user_data(body.get("user_data"))
    keypair = _keypair(tx, ctx, body.get("key_name"))
    zone = parse_zone(body.get("availability_zone"))
    zone = Zone(zone.name, zone.host or body.get("host") or body.get("hypervisor_hostname"))
    demand_zone(tx, cloud, zone)
    wanted_groups = list(dict.fromkeys(one["name"] for one in body.get("security_groups") or () if one.get("name")))
    _check_groups(tx, cloud, ctx, wanted_groups)
    nics = _nics(tx, ctx, body.get("networks"), most)
    if most > 1 and any(device.source_type == "volume" for device in wished):
        raise BadRequest("Cannot attach one or more volumes to multiple instances")
    limits.demand_metadata(tx, cloud, str(ctx.project_id), len(body.get("metadata") or {}))
    if body.get("hostname") and most > 1:
        raise BadRequest("Unable to allocate a single hostname to multiple instances")
    return NewServers(
        body=body,
        flavor=flavor,
        image_id=image_id if root.source_type == "image" and root.destination_type == "local" else None,
        image_properties=properties,
        devices=wished,
        nics=nics,
        security_groups=wanted_groups or ["default"],
        zone=zone,
        keypair=keypair,
        hints=hints,
        group_id=groups.hinted_group(tx, cloud, ctx, hints, most),
        least=least,
        most=most,
        config_drive=_config_drive(cloud, body, properties),
    )


def _check_groups(tx: Tx, cloud: Cloud, ctx: Context, names: list[str]) -> None:
    try:
        network.resolve_security_groups(tx, cloud, str(ctx.project_id), names)
    except (NotFound, Conflict) as error:
        raise BadRequest(str(error)) from None


def _check_user_data(text: str | None) -> None:
    if text is None:
        return
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("User data needs to be valid base 64.") from None
    if len(text) > _MOST_USER_DATA:
        raise BadRequest(
            f"User data too large. User data must be no larger than {_MOST_USER_DATA} bytes; it has {len(data)}."
        )


def _keypair(tx: Tx, ctx: Context, name: str | None) -> Row[Any] | None:
    if not name:
        return None
    found = keypairs.find_keypair(tx, ctx.user_id, name)
    if found is None:
        raise BadRequest(f"Invalid key_name provided: you have no key pair {name!r}.")
    return found


def _config_drive(cloud: Cloud, body: dict[str, Any], properties: dict[str, Any]) -> bool:
    if bool(parse_bool(body.get("config_drive"))) or cloud[ComputeOptions].config_drive_always:
        return True
    return str(properties.get("img_config_drive", "")).lower() == "mandatory"


def _nics(tx: Tx, ctx: Context, given: Any, most: int) -> list[RequestedNic]:
    if given is None or isinstance(given, str):
        return network.validate_requested(tx, ctx, "none" if given == "none" else "auto" if given == "auto" else None)
    requested: list[RequestedNic] = []
    for one in given:
        port_id, network_id, fixed_ip = one.get("port"), one.get("uuid"), one.get("fixed_ip")
        if port_id and fixed_ip:
            raise BadRequest(
                f"Specified Fixed IP '{fixed_ip}' cannot be used with port '{port_id}': the two cannot be specified "
                "together."
            )
        if not port_id and not (network_id and ids.is_uuid(network_id)):
            raise BadRequest(f"Bad networks format: network uuid is not in proper format ({network_id})")
        if most > 1 and port_id:
            raise BadRequest(
                "Unable to launch multiple instances with a single configured port ID. Use networks instead."
            )
        if most > 1 and fixed_ip:
            raise BadRequest("max_count cannot be greater than 1 if an fixed_ip is specified.")
        requested.append(
            RequestedNic(
                port_id=port_id, network_id=None if port_id else network_id, fixed_ip=fixed_ip, tag=one.get("tag")
            )
        )
    return network.validate_requested(tx, ctx, requested or None)


def create(tx: Tx, cloud: Cloud, ctx: Context, wanted: NewServers, request_id: str) -> tuple[list[str], str]:
    """Write the servers and start their jobs; (server ids, reservation id). Raises OverQuota."""
    flavor = wanted.flavor
    if ctx.project_id is None:
        raise Forbidden("Servers belong to projects: use a token that is scoped to one.")
    size = (flavor.vcpus, flavor.ram)
    allowed = limits.affordable(tx, cloud, ctx.project_id, count=(wanted.least, wanted.most), size=size)
    _tell_way(tx, cloud, ctx, allowed.use)
    reservation_id = "r-" + ids.new_hex_id()[:8]
    made = []
    for index in range(allowed.times):
        server_id = ids.new_id()
        _insert(tx, ctx, wanted, server_id, index, reservation_id)
        rows = device_rows.insert_devices(tx, server_id, wanted.devices)
        tx.update(Server, server_id, root_device_name=rows[0]["device_name"])
        for row in rows:
            if row["volume_id"] is not None:
                attachment_id = block_storage.reserve(tx, row["volume_id"], server_id, "/dev/" + row["device_name"])
                tx.update(BlockDevice, row["id"], attachment_id=attachment_id)
        cloud.jobs.start(tx, CREATE, server_id, request_id=request_id, project_id=ctx.project_id, user_id=ctx.user_id)
        servers.notify(tx, cloud, tx.get(Server, server_id), "create.start")
        made.append(server_id)
    return made, reservation_id


def _tell_way(tx: Tx, cloud: Cloud, ctx: Context, quota: dict[str, str]) -> None:
    """For `alto trace`: the token's way from identity to here. What comes then is told by the job."""
    names, methods = ctx.names, ", ".join(ctx.extra.get("methods", ()))
    who, where = names.get("user_name", ctx.user_id), names.get("project_name", ctx.project_id)
    way = (
        ("identity", "1 token issued", f"to user {who} by {methods}, for project {where}, until {ctx.expires_at}"),
        ("compute.api", "2 request with the token", "POST /servers"),
        ("identity", "3 token verified", f"roles {', '.join(sorted(ctx.roles))} in project {where}"),
        ("compute.api", "4 quota, and what is used", ", ".join(f"{name} {text}" for name, text in quota.items())),
        ("compute.api", "5 work handed to compute", "a job for each server"),
    )
    cloud.events.emit(tx, "alto.compute.request.admitted", {"way": way}, publisher_id=f"{servers.EVENT_PUBLISHER}.api")


def _insert(tx: Tx, ctx: Context, wanted: NewServers, server_id: str, index: int, reservation_id: str) -> None:
    body, flavor, moment = wanted.body, wanted.flavor, clock.now()
    name = naming.numbered(body["name"], index, wanted.most)
    keypair = wanted.keypair
    user_data = body.get("user_data")
    flavor_kept = flavors.snapshot_of(flavor)
    flavor_kept.pop("id")
    tx.insert(
        Server,
        id=server_id,
        project_id=ctx.project_id,
        user_id=ctx.user_id,
        name=name,
        hostname=body.get("hostname") or naming.hostname_of(name, server_id),
        description=body.get("description"),
        created_at=moment,
        updated_at=moment,
        reservation_id=reservation_id,
        launch_index=index,
        vm_state="building",
        availability_zone=wanted.zone.name,
        pinned_zone=wanted.zone.name,
        requested_host=wanted.zone.host,
        flavor=flavor_kept,
        flavor_id=flavor.flavorid,
        vcpus=flavor.vcpus,
        memory_mib=flavor.ram,
        image_id=wanted.image_id,
        image_properties=wanted.image_properties,
        key_name=keypair.name if keypair is not None else None,
        key_data={"name": keypair.name, "public_key": keypair.public_key, "type": keypair.type} if keypair else None,
        user_data=user_data,
        config_drive=wanted.config_drive,
        personality=body.get("personality"),
        access_ip_v4=body.get("accessIPv4"),
        access_ip_v6=body.get("accessIPv6"),
        disk_config=body.get("disk_config") or "MANUAL",
        custom_metadata=body.get("metadata") or {},
        tags=list(dict.fromkeys(body.get("tags") or ())),
        server_group_id=wanted.group_id,
        scheduler_hints=wanted.hints,
        trusted_certs=body.get("trusted_image_certificates"),
        requested_nics=[
            {"port_id": nic.port_id, "network_id": nic.network_id, "fixed_ip": nic.fixed_ip, "tag": nic.tag}
            for nic in wanted.nics
        ],
        requested_groups=wanted.security_groups,
    )
