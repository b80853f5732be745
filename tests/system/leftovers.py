# SPDX-License-Identifier: Apache-2.0
"""Everything that must agree with everything else in a quiet cloud: APIs, database, files, devices, processes."""

import json
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.system.killing import namespaces_of, processes_of
from tests.system.tenant import Tenant

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAP = re.compile(r"\btap[0-9a-f-]{11}\b")


def wait_for_peace(admin: Tenant, tenant: Tenant, *, real: bool, timeout_s: float = 90) -> None:
    """Until nothing is under way and everything agrees."""
    deadline = time.monotonic() + timeout_s
    while found := list(disagreements(admin, tenant, real=real)):
        assert time.monotonic() < deadline, "\n".join(["the cloud does not come to rest:", *found])
        time.sleep(1)


def disagreements(admin: Tenant, tenant: Tenant, *, real: bool) -> Iterator[str]:
    """Sentences about what is under way, contradictory or left over."""
    servers = {one["id"]: one for one in admin.need("GET", "/compute/v2.1/servers/detail?all_tenants=1")["servers"]}
    volumes = {
        one["id"]: one
        for one in admin.need("GET", f"/volume/v3/{admin.project_id}/volumes/detail?all_tenants=1")["volumes"]
    }
    ports = admin.need("GET", "/network/v2.0/ports")["ports"]
    yield from _jobs(admin)
    yield from _servers(servers)
    yield from _volumes(volumes, servers)
    yield from _ports(ports, servers)
    yield from _allocations(admin, servers)
    yield from _quotas(tenant, servers, volumes, ports)
    yield from _database(admin, servers, volumes)
    yield from _files(admin, servers, volumes)
    if real:
        yield from _machine(admin, servers, ports)


def _jobs(admin: Tenant) -> Iterator[str]:
    for job in admin.need("GET", "/alto/v1/jobs")["jobs"]:
        yield f"job {job['kind']} of {job['resource_id']} is {job['state']} at {job['step']}: {job['error']}"


def _servers(servers: dict[str, Any]) -> Iterator[str]:
    for server in servers.values():
        state, task = server["status"], server["OS-EXT-STS:task_state"]
        if task is not None or state not in ("ACTIVE", "SHUTOFF", "ERROR"):
            yield f"server {server['name']} is {state}, task {task}"
        if state == "ERROR" and not server.get("fault", {}).get("message"):
            yield f"server {server['name']} is in ERROR without a reason"


def _volumes(volumes: dict[str, Any], servers: dict[str, Any]) -> Iterator[str]:
    attached = {
        (one["id"], server["id"])
        for server in servers.values()
        for one in server["os-extended-volumes:volumes_attached"]
    }
    for volume in volumes.values():
        if volume["status"] not in ("available", "in-use", "error"):
            yield f"volume {volume['name']} is {volume['status']}"
        if (volume["status"] == "in-use") != bool(volume["attachments"]):
            yield f"volume {volume['name']} is {volume['status']} with {len(volume['attachments'])} attachments"
    here = {(volume["id"], one["server_id"]) for volume in volumes.values() for one in volume["attachments"]}
    if here != attached:
        yield f"attachments differ: block storage {here - attached}, compute {attached - here}"


def _ports(ports: list[Any], servers: dict[str, Any]) -> Iterator[str]:
    count: Counter[str] = Counter()
    for port in ports:
        if not port["device_owner"].startswith("compute:"):
            continue
        count[port["device_id"]] += 1
        if port["device_id"] not in servers:
            yield f"port {port['id']} belongs to server {port['device_id']}, which is gone"
    for server in servers.values():
        if server["status"] == "ACTIVE" and count[server["id"]] != 1:
            yield f"server {server['name']} has {count[server['id']]} ports"


def _allocations(admin: Tenant, servers: dict[str, Any]) -> Iterator[str]:
    consumers: set[str] = set()
    for provider in admin.need("GET", "/placement/resource_providers")["resource_providers"]:
        path = f"/placement/resource_providers/{provider['uuid']}/allocations"
        consumers |= set(admin.need("GET", path)["allocations"])
    for consumer in consumers - servers.keys():
        yield f"{consumer} has an allocation and is no server"
    for server in servers.values():
        if server["status"] != "ERROR" and server["id"] not in consumers:
            yield f"server {server['name']} has no allocation"


def _quotas(tenant: Tenant, servers: dict[str, Any], volumes: dict[str, Any], ports: list[Any]) -> Iterator[str]:
    own = [one for one in servers.values() if one["tenant_id"] == tenant.project_id]
    limits = tenant.need("GET", "/compute/v2.1/limits")["limits"]["absolute"]
    if limits["totalInstancesUsed"] != len(own) or limits["totalCoresUsed"] != len(own):
        yield f"quota: {limits['totalInstancesUsed']} servers, {limits['totalCoresUsed']} cores; there are {len(own)}"
    own = [one for one in volumes.values() if one["os-vol-tenant-attr:tenant_id"] == tenant.project_id]
    limits = tenant.need("GET", f"/volume/v3/{tenant.project_id}/limits")["limits"]["absolute"]
    used, right = (
        (limits["totalVolumesUsed"], limits["totalGigabytesUsed"]),
        (len(own), sum(one["size"] for one in own)),
    )
    if used != right:
        yield f"quota: volumes and GiB are {used}, should be {right}"
    used = tenant.need("GET", f"/network/v2.0/quotas/{tenant.project_id}/details")["quota"]["port"]["used"]
    count = sum(one["project_id"] == tenant.project_id for one in ports)
    if used != count:
        yield f"quota: {used} ports; there are {count}"


def _database(admin: Tenant, servers: dict[str, Any], volumes: dict[str, Any]) -> Iterator[str]:
    """What no API shows."""
    things = {"server": servers, "volume": volumes}
    database = sqlite3.connect(f"file:{admin.cloud.paths.database}?mode=ro", uri=True, timeout=10)
    try:
        for kind, id, absent, error in database.execute(
            "SELECT kind, id, spec IS NULL OR spec = 'null', error FROM desired"
        ):
            if absent:
                yield f"{kind} {id} still waits to be removed ({error})"
            elif kind in things and id not in things[kind]:
                yield f"{kind} {id} is wanted by a host but is gone"
        for lock, job in database.execute("SELECT lock, job_id FROM job_locks"):
            yield f"lock {lock} is held by job {job}"
    finally:
        database.close()


def _files(admin: Tenant, servers: dict[str, Any], volumes: dict[str, Any]) -> Iterator[str]:
    paths = admin.cloud.paths
    for folder, known in ((paths.servers, servers), (paths.volumes, volumes)):
        for path in folder.iterdir():
            if path.name == ".lock":
                continue
            if not (found := _UUID.search(path.name)) or found[0] not in known:
                yield f"{path} is left over"
    for path in paths.image_staging.iterdir():
        yield f"{path} is left over"


def _machine(admin: Tenant, servers: dict[str, Any], ports: list[Any]) -> Iterator[str]:
    cloud = admin.cloud
    running = Counter(
        found[1] for one in processes_of(cloud, "qemu-system").values() if (found := re.search(r"-uuid (\S+)", one))
    )
    active = Counter(one["id"] for one in servers.values() if one["status"] == "ACTIVE")
    if running != active:
        yield f"guests running: {running}, servers ACTIVE: {active}"
    netns = f"alto-{cloud.paths.tag}-hv"
    taps = {f"tap{one['id'][:11]}" for one in ports if one["device_id"] in servers}
    links = json.loads(_output("ip", "-n", netns, "-j", "link"))
    devices = {one["ifname"] for one in links if one["ifname"].startswith("tap")}
    if devices != taps:
        yield f"tap devices without a port {devices - taps}, ports without a device {taps - devices}"
    filtered = set(_TAP.findall(_output("ip", "netns", "exec", netns, "nft", "list", "ruleset")))
    if filtered != taps:
        yield f"filters without a port {filtered - taps}, ports without filters {taps - filtered}"
    networks = {one["id"] for one in admin.need("GET", "/network/v2.0/networks")["networks"]}
    routers = {one["id"] for one in admin.need("GET", "/network/v2.0/routers")["routers"]}
    for name in namespaces_of(cloud):
        if (found := _UUID.search(name)) and found[0] not in networks | routers:
            yield f"namespace {name} is left over"


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
