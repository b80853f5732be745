# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/agents`, and what each agent serves."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import Conflict
from altostratus.kernel.policy import ADMIN, ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Bool, Text, parse_bool
from altostratus.kernel.resource.operations import Delete, List, Op, Reply, Show, Update
from altostratus.services.network.api.networks import NetworkResource
from altostratus.services.network.api.routers import RouterResource
from altostratus.services.network.logic import agents, queries
from altostratus.services.network.models import Network, Port, Router

_FILTERS = ("id", "agent_type", "binary", "host", "topic", "availability_zone", "description")


def _matches(call: Call, agent: dict[str, Any]) -> bool:
    for name in _FILTERS:
        if name in call.query and str(agent[name]) not in call.query[name]:
            return False
    for name in ("alive", "admin_state_up"):
        if name in call.query and parse_bool(call.query[name][-1]) != agent[name]:
            return False
    return True


def list_agents(call: Call) -> Any:
    """The agents of all hosts; as upstream, who may not see them gets an empty list."""
    if not call.may("get_agent"):
        return Reply(200, {"agents": []})
    found = [agent for agent in agents.list_agents(call.tx, call.cloud) if _matches(call, agent)]
    return Reply(200, {"agents": [_shown(call, agent) for agent in found]})


def _shown(call: Call, agent: dict[str, Any]) -> dict[str, Any]:
    only = call.query.get("fields")
    return {name: value for name, value in agent.items() if name in only} if only else agent


def show_agent(call: Call) -> Any:
    """Show an agent."""
    return Reply(200, {"agent": _shown(call, agents.get_agent(call.tx, call.cloud, call.params["id"]))})


def update_agent(call: Call) -> Any:
    """Switch an agent off or on, or describe it."""
    return Reply(200, {"agent": agents.update(call.tx, call.cloud, call.params["id"], call.body)})


def delete_agent(call: Call) -> Any:
    """Agents come and go with their hosts; they are never removed alone."""
    agent = agents.get_agent(call.tx, call.cloud, call.params["id"])
    raise Conflict(
        f"Agent {agent['id']} ({agent['binary']}) belongs to host {agent['host']} and goes when that host leaves the "
        "cloud; it cannot be removed alone.",
        kind="AgentInUse",
    )


def networks_of_agent(call: Call) -> Any:
    """The networks that a DHCP agent serves."""
    agent = agents.get_agent(call.tx, call.cloud, call.params["id"])
    port, network = table_of(Port).c, table_of(Network)
    served = select(port.network_id).where(port.device_owner == queries.DHCP, port.host_id == agent["host"])
    rows = []
    if agent["binary"] == agents.DHCP_KIND.binary:
        rows = call.tx.rows(select(network).where(network.c.id.in_(served)).order_by(network.c.id))
    return Reply(200, {"networks": call.render_as(NetworkResource, rows)})


def routers_of_agent(call: Call) -> Any:
    """The routers that an L3 agent serves."""
    agent = agents.get_agent(call.tx, call.cloud, call.params["id"])
    rows = []
    if agent["binary"] == agents.L3_KIND.binary:
        rows = call.tx.rows(select(table_of(Router)).order_by(table_of(Router).c.id))
    return Reply(200, {"routers": call.render_as(RouterResource, rows)})


def agents_of_network(call: Call) -> Any:
    """The DHCP agents that serve a network."""
    queries.get_network(call.tx, call.params["id"])
    port = queries.find_dhcp_port(call.tx, call.params["id"])
    host = port.host_id if port is not None else None
    found = [
        agent
        for agent in agents.list_agents(call.tx, call.cloud)
        if agent["binary"] == agents.DHCP_KIND.binary and agent["host"] == host
    ]
    return Reply(200, {"agents": found})


def agents_of_router(call: Call) -> Any:
    """The L3 agents that serve a router."""
    queries.get_router(call.tx, call.params["id"])
    found = [agent for agent in agents.list_agents(call.tx, call.cloud) if agent["binary"] == agents.L3_KIND.binary]
    return Reply(200, {"agents": found})


class AgentResource(Resource, path="/agents", one="agent", many="agents"):
    """A worker on a host."""

    admin_state_up = Bool("u")
    description = Text(0, 255, "u", nullable=True)

    index = List(None, ANY, list_agents)
    show = Show("get_agent", ADMIN, show_agent)
    update = Update("update_agent", ADMIN, update_agent)
    delete = Delete("delete_agent", ADMIN, delete_agent)
    dhcp_networks = Op("GET", "/{id}/dhcp-networks", "get_dhcp-networks", ADMIN, networks_of_agent)
    l3_routers = Op("GET", "/{id}/l3-routers", "get_l3-routers", ADMIN, routers_of_agent)


class AgentsOfThings(Resource, path=""):
    """Which agents serve a network or router."""

    dhcp_agents = Op("GET", "/networks/{id}/dhcp-agents", "get_dhcp-agents", ADMIN, agents_of_network)
    l3_agents = Op("GET", "/routers/{id}/l3-agents", "get_l3-agents", ADMIN, agents_of_router)
