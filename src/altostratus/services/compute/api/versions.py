# SPDX-License-Identifier: Apache-2.0
"""Version documents, extensions, and small things that other services and old clients ask for."""

from typing import Any, Final

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN, ANY, SERVICE
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import UUID
from altostratus.services.compute.logic import servers

MINIMUM: Final = "2.1"
MAXIMUM: Final = "2.96"


def _document(call: Call) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": MAXIMUM,
        "min_version": MINIMUM,
        "updated": "2013-07-23T11:33:21Z",
        "links": [
            {"rel": "self", "href": f"{call.host_url}{call.service.path}/"},
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        ],
    }


def _old_document(call: Call) -> dict[str, Any]:
    """v2.0, which is v2.1 without microversions; old clients and Tempest expect it first in the list."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [
            {"rel": "self", "href": f"{call.host_url}{call.service.old_paths[0]}/"},
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        ],
    }


def list_versions(call: Call) -> Reply:
    documents = [_old_document(call), _document(call)]
    return Reply(200, {"versions": [one | {"links": one["links"][:1]} for one in documents]})


def show_old_version(call: Call) -> Reply:
    media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2"}]
    return Reply(200, {"version": _old_document(call) | {"media-types": media}})


def show_version(call: Call) -> Reply:
    media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
    return Reply(200, {"version": _document(call) | {"media-types": media}})


class Versions(Resource, path="!"):
    """Which versions of the API there are."""

    index = Op("GET", "", None, ANY, list_versions, public=True, tx="none")


class OldVersion(Resource, path="!/v2"):
    """The version before microversions."""

    show = Op("GET", "", None, ANY, show_old_version, public=True, tx="none")


class Version(Resource):
    """The newest version."""

    show = Op("GET", "", None, ANY, show_version, public=True, tx="none")


# upstream lists these since extensions became fixed; clients look for some of the aliases
_ALIASES: Final = [
    "OS-DCF",
    "OS-EXT-AZ",
    "OS-EXT-IPS",
    "OS-EXT-IPS-MAC",
    "OS-EXT-SRV-ATTR",
    "OS-EXT-STS",
    "OS-EXT-VIF-NET",
    "OS-FLV-DISABLED",
    "OS-FLV-EXT-DATA",
    "OS-SCH-HNT",
    "OS-SRV-USG",
    "os-admin-actions",
    "os-aggregates",
    "os-attach-interfaces",
    "os-availability-zone",
    "os-console-output",
    "os-consoles",
    "os-create-server-ext",
    "os-extended-volumes",
    "os-flavor-access",
    "os-flavor-extra-specs",
    "os-flavor-manage",
    "os-hosts",
    "os-hypervisors",
    "os-instance-actions",
    "os-keypairs",
    "os-lock-server",
    "os-migrate-server",
    "os-migrations",
    "os-pause-server",
    "os-quota-class-sets",
    "os-quota-sets",
    "os-remote-consoles",
    "os-security-groups",
    "os-server-diagnostics",
    "os-server-external-events",
    "os-server-groups",
    "os-server-password",
    "os-services",
    "os-simple-tenant-usage",
    "os-suspend-server",
    "os-used-limits",
    "os-user-data",
    "os-volumes",
]


def _extension(alias: str) -> dict[str, Any]:
    return {
        "name": alias.removeprefix("os-").title().replace("-", ""),
        "alias": alias,
        "description": "Part of the API.",
        "links": [],
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
    }


def list_extensions(_call: Call) -> Reply:
    return Reply(200, {"extensions": [_extension(alias) for alias in _ALIASES]})


def show_extension(call: Call) -> Reply:
    alias = call.params["alias"]
    if alias not in _ALIASES:
        raise NotFound(f"Extension {alias!r} does not exist.")
    return Reply(200, {"extension": _extension(alias)})


class Extensions(Resource, path="/extensions"):
    """Extensions, which are all part of the API now."""

    index = Op("GET", "", "os_compute_api:extensions", ANY, list_extensions)
    show = Op("GET", "/{alias}", "os_compute_api:extensions", ANY, show_extension)


_EVENTS: Final = {
    "type": "object",
    "properties": {
        "events": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "server_uuid": UUID,
                    "name": {"type": "string"},
                    "status": {"enum": ["failed", "completed", "in-progress"]},
                    "tag": {"type": "string", "maxLength": 255},
                },
                "required": ["server_uuid", "name"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["events"],
    "additionalProperties": False,
}
_KNOWN_EVENTS: Final = (
    "network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted", "volume-extended",
    "power-update", "accelerator-request-bound", "volume-reimaged",
)  # fmt: skip


def accept_events(call: Call) -> Reply:
    """Other services of this cloud speak by events inside it; what comes here is acknowledged."""
    given = call.body["events"]
    for event in given:
        if event["name"] not in _KNOWN_EVENTS:
            raise BadRequest(f"Invalid event name {event['name']!r}. Known: {', '.join(_KNOWN_EVENTS)}.")
    known = {row.id: row for row in servers.find_servers(call.tx, {event["server_uuid"] for event in given})}
    shown = []
    for event in given:
        row = known.get(event["server_uuid"])
        code = 404 if row is None else 422 if row.host is None else 200
        status = event.get("status", "completed") if code == 200 else "failed"
        shown.append({"code": code, **event, "status": status})
    codes = {one["code"] for one in shown}
    if codes == {404}:
        raise NotFound("No instances found for any event")
    return Reply(200 if codes == {200} else 207, {"events": shown})


class ExternalEvents(Resource, path="/os-server-external-events"):
    """What other services tell compute."""

    create = Op("POST", "", "os_compute_api:os-server-external-events:create", SERVICE, accept_events, body=_EVENTS)


def list_migrations(_call: Call) -> Reply:
    return Reply(200, {"migrations": []})


class Migrations(Resource, path="/os-migrations"):
    """Moves of servers between hosts."""

    index = Op("GET", "", "os_compute_api:os-migrations:index", ADMIN, list_migrations)
