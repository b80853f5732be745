# SPDX-License-Identifier: Apache-2.0
"""The `[compute]` section."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section

DEFAULT_FILTERS = (
    "ComputeFilter",
    "RequestedHostFilter",
    "AvailabilityZoneFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "SameHostFilter",
    "DifferentHostFilter",
    "AggregateInstanceExtraSpecsFilter",
    "AggregateCoreFilter",
    "AggregateMultiTenancyIsolation",
)


class ComputeOptions(Section, frozen=True, kw_only=True, name="compute"):
    """How servers are placed, limited and reached."""

    cpu_allocation_ratio: Annotated[float, Meta(description="vCPUs promised per core of a host", gt=0)] = 16.0
    ram_allocation_ratio: Annotated[float, Meta(description="memory promised per memory of a host", gt=0)] = 1.0
    disk_allocation_ratio: Annotated[float, Meta(description="disk promised per disk of a host", gt=0)] = 1.0
    reserved_host_memory_mb: Annotated[int, Meta(description="memory kept for the host itself, MiB", ge=0)] = 512
    reserved_host_disk_mb: Annotated[int, Meta(description="disk kept for the host itself, MiB", ge=0)] = 0
    default_availability_zone: Annotated[str, Meta(description="zone of hosts that no aggregate puts elsewhere")] = (
        "nova"
    )
    internal_availability_zone: Annotated[str, Meta(description="zone shown for the control services")] = "internal"
    enabled_filters: Annotated[tuple[str, ...], Meta(description="scheduler filters, in order")] = DEFAULT_FILTERS
    ram_weight_multiplier: Annotated[float, Meta(description="above 0 spreads servers by free memory")] = 1.0
    cpu_weight_multiplier: Annotated[float, Meta(description="above 0 spreads servers by free vCPUs")] = 1.0
    disk_weight_multiplier: Annotated[float, Meta(description="above 0 spreads servers by free disk")] = 1.0
    host_timeout_s: Annotated[float, Meta(description="a host that was silent for longer counts as down", gt=0)] = 60.0
    build_timeout_s: Annotated[float, Meta(description="longest wait for a host to start a server", gt=0)] = 900.0
    shutdown_timeout_s: Annotated[int, Meta(description="time a guest gets to power off by itself", ge=0)] = 60
    console_base_url: Annotated[str, Meta(description="base URL of the console proxy; empty: the API's host")] = ""
    console_port: Annotated[int, Meta(description="port of the console proxy; as [cloud] says unless set")] = 6080
    console_token_ttl_s: Annotated[int, Meta(description="how long a console URL is good for", gt=0)] = 600
    keep_deleted_days: Annotated[int, Meta(description="how long deleted servers stay in the records", ge=0)] = 90
    dhcp_domain: Annotated[str, Meta(description="domain that metadata adds to host names; empty: none")] = "novalocal"
    enable_server_password: Annotated[bool, Meta(description="return adminPass from create and rebuild")] = True
    config_drive_always: Annotated[bool, Meta(description="give every server a config drive")] = False
    resume_servers_on_host_start: Annotated[bool, Meta(description="start servers again after the host restarted")] = (
        True
    )
