# SPDX-License-Identifier: Apache-2.0
"""Quotas of compute: what is counted, and the refusals that clients know."""

from typing import NamedTuple

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import Forbidden, OverQuota
from altostratus.kernel.quota import UNLIMITED, Countable
from altostratus.services.compute.logic import groups, servers

COUNTABLES = (
    Countable("instances", 10, servers.count_servers, unified="servers"),
    Countable("cores", 20, servers.count_cores, unified="class:VCPU"),
    Countable("ram", 51200, servers.count_ram, unified="class:MEMORY_MB"),
    Countable("metadata_items", 128, unified="server_metadata_items"),
    Countable("injected_files", 5, unified="server_injected_files"),
    Countable("injected_file_content_bytes", 10240, unified="server_injected_file_content_bytes"),
    Countable("injected_file_path_bytes", 255, unified="server_injected_file_path_bytes"),
    Countable("key_pairs", 100, unified="server_key_pairs"),
    Countable("server_groups", 10, groups.count_groups, "server groups"),
    Countable("server_group_members", 10),
    Countable("fixed_ips", -1),
    Countable("floating_ips", -1),
    Countable("security_groups", -1),
    Countable("security_group_rules", -1),
)


class Affordable(NamedTuple):
    """How many times something may be had, and `used of limit` of the project's own quota before that."""

    times: int
    use: dict[str, str]


def affordable(tx: Tx, cloud: Cloud, project_id: str, *, count: tuple[int, int], size: tuple[int, int]) -> Affordable:
    """How many servers of `size` (vCPUs, MiB), between the two of `count`, the quota allows. Raises OverQuota."""
    (least, most), (vcpus, ram) = count, size
    each = {"instances": 1, "cores": vcpus, "ram": ram}
    return _affordable(tx, cloud, project_id, each, least, most)


def affordable_growth(tx: Tx, cloud: Cloud, project_id: str, *, vcpus: int, ram: int) -> None:
    """Raises OverQuota if a server may not grow by so much."""
    _affordable(tx, cloud, project_id, {"cores": vcpus, "ram": ram}, 1, 1)


def _affordable(tx: Tx, cloud: Cloud, project_id: str, each: dict[str, int], least: int, most: int) -> Affordable:
    """How many times `each` the quota allows, at most `most`. Raises OverQuota when that is less than `least`."""
    quotas, found = cloud.quotas("compute"), most
    own: dict[str, str] = {}
    for ceiling in quotas.hold(tx, project_id):
        limits = {name: ceiling.limits.get(name, UNLIMITED) for name in each}
        used = {name: quotas.used(tx, name, ceiling.projects) for name in each}
        room = {
            name: most if limits[name] < 0 or units <= 0 else max(0, limits[name] - used[name]) // units
            for name, units in each.items()
        }
        own = own or {name: f"{used[name]} of {limits[name] if limits[name] >= 0 else 'any'}" for name in each}
        found = min(found, *room.values())
        if found < least:
            over = [name for name in each if room[name] < least]
            requested = ", ".join(str(each[name] * least) for name in over)
            already = ", ".join(str(used[name]) for name in over)
            allowed = ", ".join(f"{limits[name]} {name}" for name in over)
            raise OverQuota(
                f"Quota exceeded for {', '.join(over)}: Requested {requested}, but already used {already} of {allowed}"
                f"{ceiling.words}"
            )
    return Affordable(found, own)


def demand_metadata(tx: Tx, cloud: Cloud, project_id: str, items: int) -> None:
    limit = cloud.quotas("compute").limits(tx, project_id)["metadata_items"]
    if 0 <= limit < items:
        raise Forbidden(f"Maximum number of metadata items exceeds {limit}; {items} were given.")
