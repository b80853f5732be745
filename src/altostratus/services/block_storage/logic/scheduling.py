# SPDX-License-Identifier: Apache-2.0
"""Which back end takes a volume, and why the others do not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.models.others import ServiceState
from altostratus.services.block_storage.models.volumes import Volume

BINARY = "cinder-volume"
VENDOR = "Altostratus"
# scopes of extra specs that are no wishes about capabilities
_NO_WISH = ("multiattach", "RESKEY:availability_zones", "replication_enabled")


@dataclass(frozen=True, slots=True)
class Pool:
    """One back end of one host, as it announced itself; `promised_gib` is what its volumes may grow to."""

    name: str
    host: str
    backend: str
    zone: str
    info: Mapping[str, Any]
    promised_gib: int
    last_seen: str
    alive: bool
    enabled: bool

    @property
    def capabilities(self) -> dict[str, Any]:
        """Names upstream's filters and pool lists use."""
        info = self.info
        ratio = float(info.get("capabilities", {}).get("max_over_subscription_ratio", 1.0))
        return dict(info.get("capabilities", {})) | {
            "volume_backend_name": self.backend,
            "storage_protocol": info.get("protocol", "file"),
            "driver_version": "1.0",
            "vendor_name": VENDOR,
            "total_capacity_gb": info.get("total_gib", 0),
            "free_capacity_gb": info.get("free_gib", 0),
            "reserved_percentage": 0,
            "max_over_subscription_ratio": str(ratio),
            "provisioned_capacity_gb": self.promised_gib,
            "allocated_capacity_gb": self.promised_gib,
            "multiattach": bool(info.get("capabilities", {}).get("multiattach", False)),
            "QoS_support": False,
            "timestamp": self.last_seen,
            "location_info": f"{self.host}:{self.backend}",
            "backend_state": "up" if self.alive else "down",
        }

    @property
    def usable_gib(self) -> float:
        """What new volumes may still promise: with thin provisioning more than there is."""
        capabilities = self.info.get("capabilities", {})
        if capabilities.get("thin_provisioning_support"):
            ratio = float(capabilities.get("max_over_subscription_ratio", 1.0))
            return float(self.info.get("total_gib", 0)) * ratio - self.promised_gib
        return float(self.info.get("free_gib", 0))


@dataclass(frozen=True, slots=True)
class Request:
    """What a volume needs. `host` is set when its source lies there already."""

    size_gib: int
    zone: str
    extra_specs: Mapping[str, str]
    host: str | None = None


def list_pools(tx: Tx, cloud: Cloud) -> list[Pool]:
    """Every back end that storage hosts have announced, by name."""
    volume = table_of(Volume).c
    size = func.sum(func.coalesce(volume.new_size, volume.size))
    sizes: Any = select(volume.host, size.label("size")).where(volume.host.is_not(None)).group_by(volume.host)
    promised = {row.host: int(row.size) for row in tx.rows(sizes)}
    states = [row for row in tx.rows(table_of(ServiceState).select()) if row.binary == BINARY]
    disabled = {row.host for row in states if row.disabled or row.frozen}
    zone = cloud[BlockStorageOptions].availability_zone
    pools: list[Pool] = []
    for host in cloud.desired.hosts(tx, kind="volume"):
        for info in (host.facts.get("block_storage") or {}).get("backends", ()):
            name = pool_name(host.name, info["name"])
            state = {"alive": host.alive and "error" not in info, "enabled": service_host(name) not in disabled}
            found = Pool(name, host.name, info["name"], zone, info, promised.get(name, 0), host.last_seen, **state)
            pools.append(found)
    return pools


def pool_name(host: str, backend: str) -> str:
    return f"{host}@{backend}#{backend}"


def service_host(pool: str) -> str:
    """`host@backend` of `host@backend#pool`."""
    return pool.partition("#")[0]


def host_of(pool: str) -> str:
    return pool.partition("@")[0]


def backend_of(pool: str) -> str:
    return service_host(pool).partition("@")[2]


def refusal(pool: Pool, request: Request) -> str | None:
    """Why this back end cannot take the volume; None if it can."""
    if not pool.alive:
        return "it has not been heard of lately"
    if not pool.enabled:
        return "it is disabled or frozen"
    if request.host is not None and request.host != pool.name:
        return "the source of the volume is elsewhere"
    if request.zone != pool.zone:
        return f"it is in availability zone {pool.zone}"
    for name, wanted in request.extra_specs.items():
        if name in _NO_WISH and name != "multiattach":
            continue
        scope, _, rest = name.partition(":")
        if rest and scope != "capabilities":
            continue
        if not _meets(str(pool.capabilities.get(rest or name)), str(wanted)):
            return f"the type wants {name} {wanted}"
    if request.size_gib > pool.usable_gib:
        return f"{request.size_gib} GiB are asked for, {max(pool.usable_gib, 0):.0f} GiB can still be promised"
    return None


def _meets(offered: str, wanted: str) -> bool:
    """`<is> True`, `<in> word`, `<or> a <or> b`, `== n` and the like, else the same text."""
    operator, _, rest = wanted.strip().partition(" ")
    rest = rest.strip()
    if operator == "<is>":
        return offered.lower() == rest.lower()
    if operator == "<in>":
        return rest in offered
    if operator == "<or>":
        return offered in [part.strip() for part in wanted.split("<or>") if part.strip()]
    if operator in (">=", "<=", "==", "!="):
        try:
            left, right = float(offered), float(rest)
        except ValueError:
            return False
        return {">=": left >= right, "<=": left <= right, "==": left == right, "!=": left != right}[operator]
    return offered == wanted


def choose(pools: Iterable[Pool], request: Request) -> tuple[Pool | None, str]:
    """The pool with most room; without one, a sentence that names each and why not."""
    reasons: list[str] = []
    fitting: list[Pool] = []
    for pool in pools:
        reason = refusal(pool, request)
        if reason is None:
            fitting.append(pool)
        else:
            reasons.append(f"{pool.name}: {reason}")
    if fitting:
        return max(fitting, key=lambda pool: (pool.usable_gib, pool.name)), ""
    why = "; ".join(reasons) or "no storage host has announced itself"
    return None, f"No valid backend was found for the volume ({why})."
