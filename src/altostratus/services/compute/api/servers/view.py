# SPDX-License-Identifier: Apache-2.0
"""How a server looks in the API: functions of (attributes, call) behind the computed members.

They run for every server of every list, so each does as little as it can.
"""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import MISSING
from altostratus.services.compute.api.shared import links
from altostratus.services.compute.logic.views import host_id
from altostratus.services.compute.logic.wanted import instance_name

_WITH_PROGRESS = frozenset(("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"))
_WITH_FAULT = frozenset(("ERROR", "DELETED"))
EXTENDED = "os_compute_api:os-extended-server-attributes"


def status(server: Any, _call: Call) -> str:
    return "DELETED" if server["deleted"] else server["status"]


def address_book(ports: Any) -> dict[str, list[dict[str, Any]]]:
    """Network name -> its addresses, fixed ones each followed by their floating ones."""
    book: dict[str, list[dict[str, Any]]] = {}
    for port in ports:
        lines = book.setdefault(port.network_name, [])
        for ip, _subnet_id, version in port.fixed_ips:
            lines.append(
                {
                    "version": version,
                    "addr": ip,
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": port.mac,
                }
            )
            floating = port.floating_ips.get(ip) if port.floating_ips else None
            if floating is not None:
                lines.append(
                    {
                        "version": 4,
                        "addr": floating,
                        "OS-EXT-IPS:type": "floating",
                        "OS-EXT-IPS-MAC:mac_addr": port.mac,
                    }
                )
    return book


def addresses(server: Any, _call: Call) -> Any:
    # hidden while the server is being built, as upstream does
    return {} if server["vm_state"] == "building" else address_book(server["ports"])


def image(server: Any, call: Call) -> Any:
    key = server["image_id"]
    if not key:
        return ""
    href = f"{call.host_url}{call.service.root}/images/{key}"
    return {"id": key, "links": [{"rel": "bookmark", "href": href}]}


def flavor_link(server: Any, call: Call) -> Any:
    key = server["flavor_id"]
    return {
        "id": key,
        "links": [{"rel": "bookmark", "href": f"{call.host_url}{call.service.root}/flavors/{key}"}],
    }


def flavor_inside(server: Any, call: Call) -> Any:
    flavor = server["flavor"]
    if call.may("os_compute_api:servers:show:flavor-extra-specs"):
        return flavor
    return {name: value for name, value in flavor.items() if name != "extra_specs"}


def hashed_host(server: Any, _call: Call) -> str:
    return host_id(server["project_id"], server["host"])


def own_links(server: Any, call: Call) -> Any:
    return links(call, "servers", server["id"])


def progress(server: Any, _call: Call) -> Any:
    return server["progress"] if server["status"] in _WITH_PROGRESS else MISSING


def fault(server: Any, call: Call) -> Any:
    told = server["fault"]
    if not told or status(server, call) not in _WITH_FAULT:
        return MISSING
    shown = {"code": told["code"], "message": told["message"], "created": clock.iso_z(told["created"])}
    if told.get("details") and (call.ctx.is_admin or told["code"] != 500):
        shown["details"] = told["details"]
    return shown


def security_groups(server: Any, _call: Call) -> Any:
    ports = server["ports"]
    if len(ports) == 1:
        names = [group[1] for group in ports[0].security_groups]
    else:
        names = list(dict.fromkeys(group[1] for port in ports for group in port.security_groups))
    return [{"name": name} for name in names] if names else MISSING


def volumes_old(server: Any, _call: Call) -> Any:
    return [{"id": volume_id} for volume_id, _ in server["volumes"]]


def volumes(server: Any, _call: Call) -> Any:
    return [{"id": volume_id, "delete_on_termination": deleted} for volume_id, deleted in server["volumes"]]


def config_drive(server: Any, _call: Call) -> str:
    return "True" if server["config_drive"] else ""


def host_status(server: Any, call: Call) -> Any:
    return server["host_status"] if call.may("os_compute_api:servers:show:host_status") else MISSING


def locked(server: Any, _call: Call) -> bool:
    return server["locked_by"] is not None


def hypervisor_name(server: Any, _call: Call) -> Any:
    return server["host"]


def guest_name(server: Any, _call: Call) -> str:
    return instance_name(server["id"])


def no_kernel(_server: Any, _call: Call) -> str:
    return ""


def root_device(server: Any, _call: Call) -> Any:
    return "/dev/" + server["root_device_name"] if server["root_device_name"] else None


def server_groups(server: Any, _call: Call) -> Any:
    return [server["server_group_id"]] if server["server_group_id"] else []
