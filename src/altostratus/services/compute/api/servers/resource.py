# SPDX-License-Identifier: Apache-2.0
"""`/servers`: the resource itself. Actions and sub-resources have files of their own."""

from altostratus.kernel import clock
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.fields import Computed, Field, Id, Object, Time
from altostratus.kernel.resource.operations import Create, Delete, List, Show, Update
from altostratus.services.compute.api.servers import changes, filters, listing, schemas, view
from altostratus.services.compute.api.servers.child import ServerChild
from altostratus.services.compute.api.shared import BOOLEAN, DESCRIPTION, METADATA, NAME, UUID
from altostratus.services.compute.logic import views


class Server(ServerChild, path="/servers", one="server", many="servers"):
    """A virtual machine."""

    load = views.load
    default_sort = (("created_at", "desc"), ("id", "desc"))

    id = Id("r")
    name = Field(NAME, "cur", required=True)
    status = Computed(view.status)
    tenant_id = Id("r", source="project_id")
    user_id = Id("rs")
    metadata = Field(METADATA, "cr", source="custom_metadata")
    hostId = Computed(view.hashed_host)  # noqa: N815
    image = Computed(view.image)
    flavor = Computed(view.flavor_link).changed("2.47", source=view.flavor_inside)
    created = Time("r", source="created_at", form=clock.iso_z)
    updated = Time("r", source="updated_at", form=clock.iso_z)
    addresses = Computed(view.addresses)
    accessIPv4 = Field(schemas.IPV4, "cur", source=lambda server, _: server["access_ip_v4"] or "")  # noqa: N815
    accessIPv6 = Field(  # noqa: N815
        schemas.IPV6, "cur", source=lambda server, _: server["access_ip_v6"] or "", parse=schemas.canonical_ip
    )
    links = Computed(view.own_links)
    disk_config = Field(schemas.DISK_CONFIG, "cur", wire="OS-DCF:diskConfig")
    progress_shown = Computed(view.progress, wire="progress")
    fault_shown = Computed(view.fault, wire="fault")
    zone = Field(
        {}, "r", wire="OS-EXT-AZ:availability_zone", source=lambda server, _: server["availability_zone"] or ""
    )
    config_drive = Field(BOOLEAN, "cr", nullable=True, source=view.config_drive)
    key_name = Field(NAME, "crs")
    launched = Time("r", wire="OS-SRV-USG:launched_at", source="launched_at", form=clock.iso_micro)
    terminated = Time("r", wire="OS-SRV-USG:terminated_at", source="terminated_at", form=clock.iso_micro)
    security_groups = Field(schemas.SECURITY_GROUPS, "cr", source=view.security_groups)
    host_name = Field({}, "r", wire="OS-EXT-SRV-ATTR:host", source="host")
    guest_name = Computed(view.guest_name, wire="OS-EXT-SRV-ATTR:instance_name")
    hypervisor_name = Computed(view.hypervisor_name, wire="OS-EXT-SRV-ATTR:hypervisor_hostname")
    host_label = Field({}, "r", wire="OS-EXT-SRV-ATTR:hostname", source="hostname", since="2.3")
    kernel_id = Computed(view.no_kernel, wire="OS-EXT-SRV-ATTR:kernel_id", since="2.3")
    launch_index_shown = Field({}, "r", wire="OS-EXT-SRV-ATTR:launch_index", source="launch_index", since="2.3")
    ramdisk_id = Computed(view.no_kernel, wire="OS-EXT-SRV-ATTR:ramdisk_id", since="2.3")
    reservation = Field({}, "r", wire="OS-EXT-SRV-ATTR:reservation_id", source="reservation_id", since="2.3")
    root_device = Computed(view.root_device, wire="OS-EXT-SRV-ATTR:root_device_name", since="2.3")
    user_data_shown = Field({}, "r", wire="OS-EXT-SRV-ATTR:user_data", source="user_data", since="2.3")
    task_state_shown = Field({}, "r", wire="OS-EXT-STS:task_state", source="task_state")
    vm_state_shown = Field({}, "r", wire="OS-EXT-STS:vm_state", source="vm_state")
    power_state_shown = Field({}, "r", wire="OS-EXT-STS:power_state", source="power_state")
    volumes_attached = Computed(view.volumes_old, wire="os-extended-volumes:volumes_attached").changed(
        "2.3", source=view.volumes
    )
    locked = Computed(view.locked, since="2.9")
    host_status = Computed(view.host_status, since="2.16")
    description = Field(DESCRIPTION, "cur", since="2.19")
    tags = Field(schemas.TAGS, "r", since="2.26").changed("2.52", on="cr")
    trusted_image_certificates = Field(schemas.CERTIFICATES, "cr", since="2.63", source="trusted_certs")
    server_groups = Computed(view.server_groups, since="2.71")
    locked_reason = Field({}, "r", since="2.73")
    pinned_availability_zone = Field({}, "r", since="2.96", source="pinned_zone")

    # only in requests
    imageRef = Field({"anyOf": [UUID, {"type": "string", "maxLength": 0}]}, "c")  # noqa: N815
    flavorRef = Field(schemas.FLAVOR_REF, "c", required=True)  # noqa: N815
    adminPass = Field({"type": "string"}, "c")  # noqa: N815
    networks = (
        Field(schemas.networks(), "c")
        .changed("2.32", schema=schemas.networks(tag=True))
        .changed("2.37", schema=schemas.networks(words=True), required=True)
        .changed("2.42", schema=schemas.networks(words=True, tag=True))
    )
    personality = Field(schemas.PERSONALITY, "c", until="2.56")
    availability_zone = Field(NAME, "cs")
    block_device_mapping = Field(schemas.LEGACY_MAPPINGS, "c")
    block_device_mapping_v2 = (
        Field(schemas.mappings(), "c")
        .changed("2.32", schema=schemas.mappings(tag=True))
        .changed("2.33", schema=schemas.mappings())
        .changed("2.42", schema=schemas.mappings(tag=True))
        .changed("2.67", schema=schemas.mappings(tag=True, volume_type=True))
    )
    min_count = Field(schemas.POSITIVE, "c", parse=int)
    max_count = Field(schemas.POSITIVE, "c", parse=int)
    return_reservation_id = Field(BOOLEAN, "c")
    user_data = Field(schemas.BASE64, "c")
    host = Field(schemas.FQDN, "s").changed("2.74", on="cs")
    hypervisor_hostname = Field(schemas.FQDN, "c", since="2.74")
    hostname = Field(schemas.HOSTNAME, "s").changed("2.90", on="cus").changed("2.94", schema=schemas.FQDN)

    # only for sorting, under upstream's names
    access_ip_v4 = Id("s")
    access_ip_v6 = Id("s")
    auto_disk_config = Id("s", source="disk_config")
    created_at = Time("s")
    updated_at = Time("s")
    launched_at = Time("s")
    terminated_at = Time("s")
    display_name = Id("s", source="name")
    display_description = Id("s", source="description")
    image_ref = Id("s", source="image_id")
    instance_type_id = Id("s", source="flavor_id")
    launch_index = Object("s")
    locked_by = Id("s")
    node = Id("s", source="host")
    power_state = Object("s")
    progress = Object("s")
    project_id = Id("s")
    root_device_name = Id("s")
    uuid = Id("s", source="id")
    vm_state = Id("s")

    index = List("os_compute_api:servers:index", READER, listing.list_servers, until="2.74")
    detail = List("os_compute_api:servers:detail", READER, listing.list_servers, path="/detail", until="2.74")
    index_strict = List(
        "os_compute_api:servers:index", READER, listing.list_servers, since="2.75", query=filters.KNOWN_QUERY
    )
    detail_strict = List(
        "os_compute_api:servers:detail", READER, listing.list_servers, path="/detail", since="2.75",
        query=filters.KNOWN_QUERY,
    )  # fmt: skip
    create = Create(
        "os_compute_api:servers:create", MEMBER, changes.create_server, status=202,
        beside={"os:scheduler_hints": schemas.HINTS, "OS-SCH-HNT:scheduler_hints": schemas.HINTS},
    )  # fmt: skip
    show = Show("os_compute_api:servers:show", READER, listing.show_server)
    update = Update("os_compute_api:servers:update", MEMBER, changes.update_server)
    delete = Delete("os_compute_api:servers:delete", MEMBER, changes.delete_server)
