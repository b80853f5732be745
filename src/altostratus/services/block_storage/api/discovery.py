# SPDX-License-Identifier: Apache-2.0
"""Versions, extensions, and which filters lists take."""

from typing import Any

from altostratus.kernel.policy import ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply

_MEDIA = {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}
_EXTENSIONS = {
    "os-availability-zone": ("AvailabilityZones", "Zones of volumes"),
    "os-extended-services": ("ExtendedServices", "Reasons why services are disabled"),
    "os-extended-snapshot-attributes": ("ExtendedSnapshotAttributes", "Project and progress of snapshots"),
    "os-hosts": ("Hosts", "Hosts and what lies on them"),
    "OS-SCH-HNT": ("SchedulerHints", "Hints are taken and ignored"),
    "os-admin-actions": ("AdminActions", "Setting states right"),
    "os-quota-class-sets": ("QuotaClasses", "Limits of projects without their own"),
    "os-quota-sets": ("Quotas", "Limits of projects"),
    "os-services": ("Services", "Scheduler and back ends"),
    "os-snapshot-actions": ("SnapshotActions", "States of snapshots"),
    "os-types-extra-specs": ("TypesExtraSpecs", "Extra specs of volume types"),
    "os-types-manage": ("TypesManage", "Making volume types"),
    "os-used-limits": ("UsedLimits", "What is in use beside the limits"),
    "os-vol-host-attr": ("VolumeHostAttribute", "Host of volumes"),
    "os-vol-image-meta": ("VolumeImageMetadata", "Image metadata of volumes"),
    "os-vol-mig-status-attr": ("VolumeMigStatusAttribute", "Migration status of volumes"),
    "os-vol-tenant-attr": ("VolumeTenantAttribute", "Project of volumes"),
    "os-volume-actions": ("VolumeActions", "Actions on volumes"),
    "os-volume-transfer": ("VolumeTransfer", "Giving volumes to other projects"),
    "os-volume-type-access": ("VolumeTypeAccess", "Who may use volume types"),
    "qos-specs": ("Qos_specs_manage", "Limits of volumes by type"),
    "scheduler-stats": ("Scheduler_stats", "Capacity of back ends"),
    "capabilities": ("Capabilities", "What back ends offer"),
}
_FILTERS = {
    "volume": [
        "name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "created_at",
        "updated_at", "consumes_quota", "glance_metadata",
    ],
    "snapshot": ["name", "status", "volume_id", "metadata", "availability_zone", "created_at", "updated_at"],
    "attachment": ["volume_id", "status", "instance_id", "attach_status"],
    "message": ["resource_uuid", "resource_type", "event_id", "request_id", "message_level"],
    "pool": ["name", "volume_type"],
    "volume_type": ["is_public", "extra_specs"],
}  # fmt: skip


def _version(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": str(call.service.versions.maximum),
        "min_version": str(call.service.versions.minimum),
        "updated": "2024-10-01T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.host_url}{call.service.path}/"}],
        "media-types": [_MEDIA],
    }


def list_versions(call: Call) -> Reply:
    return Reply(300, {"versions": [_version(call)]})


def show_version(call: Call) -> Reply:
    return Reply(200, {"versions": [_version(call)]})


def list_extensions(call: Call) -> Reply:
    shown = [_extension(alias) for alias in _EXTENSIONS]
    return Reply(200, {"extensions": shown})


def _extension(alias: str) -> dict[str, Any]:
    name, description = _EXTENSIONS[alias]
    return {
        "name": name,
        "alias": alias,
        "description": description,
        "updated": "2024-10-01T00:00:00+00:00",
        "links": [],
    }


def list_filters(call: Call) -> Reply:
    asked = call.query.get("resource", [None])[-1]
    shown = [{"resource": name, "filters": filters} for name, filters in _FILTERS.items() if asked in (None, name)]
    return Reply(200, {"resource_filters": shown})


class Versions(Resource):
    """Version documents."""

    root = Op("GET", "!", None, ANY, list_versions, public=True, tx="none")
    newest = Op("GET", "", None, ANY, show_version, public=True, tx="none")


class Extensions(Resource, path="/extensions"):
    """What there is beside the first release's API."""

    index = Op("GET", "", None, ANY, list_extensions, tx="none")


class ResourceFilters(Resource, path="/resource_filters"):
    """Filters that lists take."""

    index = Op("GET", "", None, ANY, list_filters, tx="none", since="3.33")
