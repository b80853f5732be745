# SPDX-License-Identifier: Apache-2.0
"""Pools of prefixes, and cutting subnets from them."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from sqlalchemy import literal, or_, select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.errors import in_use, invalid, missing
from altostratus.services.network.logic import notices, quotas, rows, subnet_rules
from altostratus.services.network.logic.subnet_rules import IpNetwork
from altostratus.services.network.models import Subnet, SubnetPool

_DEFAULTS = {4: (8, 32), 6: (64, 128)}


def create(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A new pool of `prefixes`. Raises BadRequest, Conflict or OverQuota."""
    quotas.demand(tx, cloud, project_id, {"subnetpool": 1})
    prefixes = check_prefixes(values["prefixes"])
    version = prefixes[0].version
    low, high = _DEFAULTS[version]
    least = values.get("min_prefixlen") or low
    most = values.get("max_prefixlen") or high
    usual = values.get("default_prefixlen") or least
    _check_lengths(least, usual, most, high)
    if values.get("is_default"):
        _check_only_default(tx, "", version)
    new = {
        **rows.begin(project_id),
        **values,
        "prefixes": [str(prefix) for prefix in prefixes],
        "ip_version": version,
        "min_prefixlen": least,
        "max_prefixlen": most,
        "default_prefixlen": usual,
    }
    tx.insert(SubnetPool, **new)
    pool = tx.get(SubnetPool, new["id"])
    notices.tell(tx, cloud, "subnetpool.create", pool)
    return pool


def _check_lengths(least: int, usual: int, most: int, longest: int) -> None:
    if not 0 <= least <= usual <= most <= longest:
        raise invalid(
            f"Illegal prefix bounds: min_prefixlen {least}, default_prefixlen {usual} and max_prefixlen {most} must "
            f"grow in this order and not exceed {longest}.",
            "IllegalSubnetPoolPrefixBounds",
        )


def _check_only_default(tx: Tx, id: str, version: int) -> None:
    pool = table_of(SubnetPool).c
    other = tx.scalar(select(pool.id).where(pool.is_default.is_(True), pool.ip_version == version, pool.id != id))
    if other is not None:
        raise invalid(f"Invalid input for operation: A default subnetpool for IPv{version} exists already: {other}.")


def check_prefixes(texts: Sequence[str]) -> list[IpNetwork]:
    """The prefixes, merged where they touch. Raises BadRequest."""
    if not texts:
        raise invalid("Bad subnetpool request: prefixes must not be empty.", "BadRequest")
    prefixes = [subnet_rules.parse_cidr(text) for text in texts]
    if len({prefix.version for prefix in prefixes}) > 1:
        raise invalid("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
    merged: list[Any] = prefixes
    return list(ipaddress.collapse_addresses(merged))


def update(tx: Tx, cloud: Cloud, pool: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if "prefixes" in values:
        prefixes = check_prefixes(values["prefixes"])
        for old in pool.prefixes:
            network = ipaddress.ip_network(old)
            if not any(network.version == new.version and network.subnet_of(new) for new in prefixes):  # type: ignore[arg-type]
                raise invalid(
                    "Existing prefixes must be a subset of the new prefixes.", "IllegalSubnetPoolPrefixUpdate"
                )
        values["prefixes"] = [str(prefix) for prefix in prefixes]
    if values.get("is_default") and not pool.is_default:
        _check_only_default(tx, pool.id, pool.ip_version)
    names = ("min_prefixlen", "default_prefixlen", "max_prefixlen")
    least, usual, most = (values.get(name) or getattr(pool, name) for name in names)
    _check_lengths(least, usual, most, 32 if pool.ip_version == 4 else 128)
    rows.change(tx, SubnetPool, pool.id, **values)
    now = tx.get(SubnetPool, pool.id)
    notices.tell(tx, cloud, "subnetpool.update", now)
    return now


def delete(tx: Tx, cloud: Cloud, pool: Row[Any]) -> None:
    subnet = tx.find(Subnet, subnetpool_id=pool.id)
    if subnet is not None:
        raise in_use(
            f"Unable to delete subnet pool: subnet pool has existing allocations (subnet {subnet.id}).",
            "SubnetPoolDeleteError",
        )
    tx.delete(SubnetPool, pool.id)
    notices.tell_deleted(tx, cloud, "subnetpool.delete", pool)


def default_pool(tx: Tx, ctx: Context, ip_version: int) -> str:
    pool = table_of(SubnetPool).c
    found = tx.scalar(select(pool.id).where(pool.is_default.is_(True), pool.ip_version == ip_version))
    if found is None:
        raise invalid(f"Bad subnets request: No default subnetpool found for IPv{ip_version}.", "BadRequest")
    return str(found)


def cut(tx: Tx, ctx: Context, pool_id: str, *, cidr: str | None, prefixlen: int | None, ip_version: int | None) -> str:
    """The CIDR of a new subnet from the pool: the given one if free, else the first free of the length."""
    pool_table = table_of(SubnetPool)
    pool = tx.first(
        select(pool_table).where(
            pool_table.c.id == pool_id,
            or_(pool_table.c.project_id == ctx.project_id, pool_table.c.shared.is_(True), literal(ctx.is_admin)),
        )
    )
    if pool is None:
        raise missing("subnetpool", pool_id)
    if ip_version is not None and ip_version != pool.ip_version:
        raise invalid(
            "Bad subnets request: Cannot allocate a subnet of another IP version from the pool.", "BadRequest"
        )
    if cidr is not None and prefixlen is not None:
        raise invalid("Bad subnets request: cidr and prefixlen must not be supplied together.", "BadRequest")
    subnet = table_of(Subnet).c
    taken: list[Any] = [
        ipaddress.ip_network(text) for text in tx.scalars(select(subnet.cidr).where(subnet.subnetpool_id == pool_id))
    ]
    prefixes: list[Any] = [ipaddress.ip_network(text) for text in pool.prefixes]
    if cidr is not None:
        wanted: Any = subnet_rules.parse_cidr(cidr)
        if not any(wanted.subnet_of(prefix) for prefix in prefixes if prefix.version == wanted.version):
            raise invalid(f"Failed to allocate subnet: {cidr} is not in the subnet pool.", "SubnetAllocationError")
        if any(wanted.overlaps(other) for other in taken):
            raise Conflict(f"Failed to allocate subnet: {cidr} overlaps another one.", kind="SubnetAllocationError")
        return str(wanted)
    length = prefixlen or pool.default_prefixlen
    if not pool.min_prefixlen <= length <= pool.max_prefixlen:
        kind = "MinPrefixSubnetAllocationError" if length < pool.min_prefixlen else "MaxPrefixSubnetAllocationError"
        raise invalid(
            f"Unable to allocate subnet with prefix length {length}: the pool allows {pool.min_prefixlen} to "
            f"{pool.max_prefixlen}.",
            kind,
        )
    found = _first_free(prefixes, taken, length)
    if found is None:
        raise Conflict(
            "Failed to allocate subnet: Insufficient prefix space to allocate subnet size " + f"/{length}.",
            kind="SubnetAllocationError",
        )
    return found


def _first_free(prefixes: list[Any], taken: list[Any], length: int) -> str | None:
    for prefix in prefixes:
        if prefix.prefixlen > length:
            continue
        candidate = type(prefix)((prefix.network_address, length))
        while candidate.subnet_of(prefix):
            clash = next(
                (other for other in taken if other.version == candidate.version and other.overlaps(candidate)), None
            )
            if clash is None:
                return str(candidate)
            after = max(int(clash.broadcast_address), int(candidate.broadcast_address)) + 1
            if after > int(prefix.broadcast_address):
                break
            candidate = type(prefix)((after, length))
    return None
