# SPDX-License-Identifier: Apache-2.0
"""Quotas of compute: what is counted, and the refusals that clients know."""

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import Forbidden, OverQuota
from altostratus.kernel.quota import Countable
from altostratus.services.compute.logic import groups, servers

COUNTABLES = (
    Countable("instances", 10, servers.count_servers),
    Countable("cores", 20, servers.count_cores),
    Countable("ram", 51200, servers.count_ram),
    Countable("metadata_items", 128),
    Countable("injected_files", 5),
    Countable("injected_file_content_bytes", 10240),
    Countable("injected_file_path_bytes", 255),
    Countable("key_pairs", 100),
    Countable("server_groups", 10, groups.count_groups),
    Countable("server_group_members", 10),
    Countable("fixed_ips", -1),
    Countable("floating_ips", -1),
    Countable("security_groups", -1),
    Countable("security_group_rules", -1),
)


def affordable(tx: Tx, cloud: Cloud, project_id: str, *, count: tuple[int, int], size: tuple[int, int]) -> int:
    """How many servers of `size` (vCPUs, MiB), between the two of `count`, the quota allows. Raises OverQuota."""
    (least, most), (vcpus, ram) = count, size
    quotas = cloud.quotas("compute")
    quotas.demand(tx, project_id, {})
    limits = quotas.limits(tx, project_id)
    used = {
        "instances": servers.count_servers(tx, project_id),
        "cores": servers.count_cores(tx, project_id),
        "ram": servers.count_ram(tx, project_id),
    }
    each = {"instances": 1, "cores": vcpus, "ram": ram}
    room = {
        name: most if limits[name] < 0 or units == 0 else max(0, limits[name] - used[name]) // units
        for name, units in each.items()
    }
    found = min(most, *room.values())
    if found >= least:
        return found
    over = [name for name in each if room[name] < least]
    requested = ", ".join(str(each[name] * least) for name in over)
    already = ", ".join(str(used[name]) for name in over)
    allowed = ", ".join(f"{limits[name]} {name}" for name in over)
    raise OverQuota(
        f"Quota exceeded for {', '.join(over)}: Requested {requested}, but already used {already} of {allowed}"
    )


def affordable_growth(tx: Tx, cloud: Cloud, project_id: str, *, vcpus: int, ram: int) -> None:
    """Raises OverQuota if a server may not grow by so much."""
    quotas = cloud.quotas("compute")
    quotas.demand(tx, project_id, {})
    limits = quotas.limits(tx, project_id)
    for name, more, used in (
        ("cores", vcpus, servers.count_cores(tx, project_id)),
        ("ram", ram, servers.count_ram(tx, project_id)),
    ):
        if more > 0 and 0 <= limits[name] < used + more:
            raise OverQuota(
                f"Quota exceeded for {name}: Requested {more}, but already used {used} of {limits[name]} {name}"
            )


def demand_metadata(tx: Tx, cloud: Cloud, project_id: str, items: int) -> None:
    limit = cloud.quotas("compute").limits(tx, project_id)["metadata_items"]
    if 0 <= limit < items:
        raise Forbidden(f"Maximum number of metadata items exceeds {limit}; {items} were given.")
