# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/floatingips/{id}/port_forwardings`."""

from typing import Any

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Choice, Id, Int, Text, Uuid
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import floating_ips as floating_ips_api
from altostratus.services.network.api import ports as ports_api
from altostratus.services.network.api import standard
from altostratus.services.network.logic import port_forwardings
from altostratus.services.network.models import PortForwarding
from altostratus.services.network.policies import PARENT_MEMBER, PARENT_READER


def of_parent(call: Call, statement: Any, listing: bool) -> Any:
    """Those of the floating IP in the path, which the caller must see."""
    return statement.where(table_of(PortForwarding).c.floatingip_id == _parent(call).id)


def _parent(call: Call) -> Any:
    if "parent" not in call.extra:
        call.extra["parent"] = standard.visible_row(
            call, floating_ips_api.FloatingIpResource, call.params["floatingip_id"]
        )
    return call.extra["parent"]


def parent_target(call: Call) -> dict[str, Any]:
    return {**call.own_target(), "ext_parent:project_id": _parent(call).project_id}


def create_forwarding(call: Call) -> Any:
    """Forward a port of a floating IP."""
    body = {name: value for name, value in call.body.items() if value is not None}
    port = standard.visible_row(call, ports_api.PortResource, body.pop("internal_port_id"))
    return port_forwardings.create(call.tx, call.cloud, _parent(call), port, body)


def update_forwarding(call: Call) -> Any:
    """Change a port forwarding."""
    body = dict(call.body)
    port_id = body.pop("internal_port_id", None)
    port = standard.visible_row(call, ports_api.PortResource, port_id) if port_id else None
    return port_forwardings.update(call.tx, call.cloud, _parent(call), call.row, port, body)


def delete_forwarding(call: Call) -> Any:
    """Remove a port forwarding."""
    port_forwardings.delete(call.tx, call.cloud, _parent(call), call.row)
    return Reply(204)


class PortForwardingResource(
    Resource, path="/floatingips/{floatingip_id}/port_forwardings", one="port_forwarding", many="port_forwardings"
):
    """One port of a floating IP that leads to a port of a server."""

    row = PortForwarding
    scope = of_parent
    id = Id("rfs")
    internal_port_id = Uuid("crufs", required=True)
    internal_ip_address = Text(1, 64, "cruf", nullable=True)
    internal_port = Int(1, 65535, "crufs", required=True)
    external_port = Int(1, 65535, "crufs", required=True)
    protocol = Choice("tcp", "udp", on="crufs", required=True)
    description = Text(0, 255, "cruf", default="")

    create = Create("create_floatingip_port_forwarding", PARENT_MEMBER, create_forwarding, target=parent_target)
    index = List("get_floatingip_port_forwarding", PARENT_READER, standard.listing, target=parent_target)
    show = Show("get_floatingip_port_forwarding", PARENT_READER, standard.show, target=parent_target)
    update = Update("update_floatingip_port_forwarding", PARENT_MEMBER, update_forwarding, target=parent_target)
    delete = Delete("delete_floatingip_port_forwarding", PARENT_MEMBER, delete_forwarding, target=parent_target)
