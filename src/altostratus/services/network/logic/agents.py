# SPDX-License-Identifier: Apache-2.0
"""Network agents, as upstream knows them: four of them on every host that has our one."""

from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.desired import Host, HostRow
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import missing
from altostratus.services.network.logic import wants
from altostratus.services.network.models import AgentSetting

ZONE = "nova"


class AgentKind(NamedTuple):
    agent_type: str
    binary: str
    topic: str
    zone: str | None


_BRIDGE = AgentKind("Linux bridge agent", "neutron-linuxbridge-agent", "N/A", None)
DHCP_KIND = AgentKind("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", ZONE)
L3_KIND = AgentKind("L3 agent", "neutron-l3-agent", "l3_agent", ZONE)
_METADATA = AgentKind("Metadata agent", "neutron-metadata-agent", "N/A", None)
KINDS = (_BRIDGE, DHCP_KIND, L3_KIND, _METADATA)


def agent_id(kind: AgentKind, host: str) -> str:
    return ids.derived_id(kind.binary, host)


def list_agents(tx: Tx, cloud: Cloud) -> list[dict[str, Any]]:
    """All agents with the members that the API shows; three queries."""
    hosts = wants.network_hosts(tx, cloud)
    row = table_of(HostRow).c
    first_seen = {one.name: one.first_seen for one in tx.rows(select(row.name, row.first_seen))}
    settings = {one.id: one for one in tx.rows(select(table_of(AgentSetting)))}
    oldest = clock.after(-cloud[NetworkOptions].agent_down_time_s)
    return [
        _agent(kind, host, first_seen[host.name], settings, alive=host.last_seen >= oldest)
        for host in hosts
        for kind in KINDS
    ]


def _agent(kind: AgentKind, host: Host, first_seen: str, settings: dict[str, Any], *, alive: bool) -> dict[str, Any]:
    id = agent_id(kind, host.name)
    setting = settings.get(id)
    facts = host.facts.get("network", {})
    counts = facts.get("counts", {})
    return {
        "id": id,
        "agent_type": kind.agent_type,
        "binary": kind.binary,
        "topic": kind.topic,
        "host": host.name,
        "availability_zone": kind.zone,
        "admin_state_up": setting.admin_state_up if setting else True,
        "description": setting.description if setting else None,
        "alive": alive,
        "created_at": _spaced(first_seen),
        "started_at": _spaced(first_seen),
        "heartbeat_timestamp": _spaced(host.last_seen),
        "resources_synced": None,
        "resource_versions": {},
        "configurations": {
            "driver": facts.get("driver", ""),
            "simulated": facts.get("simulated", False),
            "bridge_mappings": {},
            "tunnel_types": ["vxlan"] if "vxlan" in facts.get("network_types", ()) else [],
            "devices": counts.get("ports", 0),
            "networks": counts.get("networks", 0),
            "routers": counts.get("routers", 0),
        },
    }


def _spaced(moment: str) -> str:
    """`2026-01-31 12:00:00`, as agents show time."""
    return moment[:19].replace("T", " ")


def get_agent(tx: Tx, cloud: Cloud, id: str) -> dict[str, Any]:
    for agent in list_agents(tx, cloud):
        if agent["id"] == id:
            return agent
    raise missing("agent", id)


def update(tx: Tx, cloud: Cloud, id: str, values: dict[str, Any]) -> dict[str, Any]:
    agent = get_agent(tx, cloud, id)
    if tx.update(AgentSetting, id, **values) == 0:
        tx.insert(
            AgentSetting,
            id=id,
            admin_state_up=values.get("admin_state_up", agent["admin_state_up"]),
            description=values.get("description"),
        )
    return get_agent(tx, cloud, id)
