# SPDX-License-Identifier: Apache-2.0
"""Which VNI, VLAN or physical network a network occupies."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select

from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.config import NetworkOptions, parse_range, vlan_ranges
from altostratus.services.network.errors import invalid
from altostratus.services.network.models import SegmentAllocation

VXLAN_OVERHEAD_BYTES = 50
TYPES = ("local", "flat", "vlan", "vxlan")
_LIMITS = {"vlan": (1, 4094), "vxlan": (1, 2**24 - 1)}


class Segment(NamedTuple):
    network_type: str
    physical_network: str | None
    segmentation_id: int | None


def largest_mtu(options: NetworkOptions, network_type: str) -> int:
    overhead = VXLAN_OVERHEAD_BYTES if network_type == "vxlan" else 0
    return options.physical_network_mtu - overhead


def choose(tx: Tx, options: NetworkOptions, wanted: Segment | None) -> Segment:
    """The segment for a new network: as wanted, completed, or one of the tenants' type.

    Raises BadRequest for a wish that makes no sense, Conflict if it is taken or nothing is left.
    """
    if wanted is None:
        return _any(tx, options, Segment(options.tenant_network_type, None, None))
    check(options, wanted)
    if wanted.network_type == "local":
        return wanted
    if wanted.network_type == "flat":
        if _is_taken(tx, wanted):
            raise Conflict(
                f"Unable to create the flat network. Physical network {wanted.physical_network} is in use.",
                kind="FlatNetworkInUse",
            )
        return wanted
    if wanted.segmentation_id is None:
        return _any(tx, options, wanted)
    if _is_taken(tx, wanted):
        if wanted.network_type == "vlan":
            raise Conflict(
                f"Unable to create the network. The VLAN {wanted.segmentation_id} on physical network "
                f"{wanted.physical_network} is in use.",
                kind="VlanIdInUse",
            )
        raise Conflict(
            f"Unable to create the network. The tunnel ID {wanted.segmentation_id} is in use.", kind="TunnelIdInUse"
        )
    return wanted


def check(options: NetworkOptions, wanted: Segment) -> None:
    """Raises BadRequest for a segment that cannot be."""
    kind, physical, number = wanted
    if kind not in TYPES:
        raise invalid(
            f"Invalid input for operation: network_type value '{kind}' not supported; use {', '.join(TYPES)}."
        )
    if kind in ("local", "vxlan") and physical:
        raise invalid(f"Invalid input for operation: provider:physical_network specified for {kind} network.")
    if kind in ("local", "flat") and number is not None:
        raise invalid(f"Invalid input for operation: provider:segmentation_id specified for {kind} network.")
    if kind == "flat":
        _check_physical(kind, physical, options.flat_networks)
    if kind == "vlan":
        if physical is None and number is not None:
            raise invalid("Invalid input for operation: provider:physical_network required for a VLAN with a given id.")
        if physical is not None:
            _check_physical(kind, physical, vlan_ranges(options))
        elif not any(vlan_ranges(options).values()):
            raise invalid("Invalid input for operation: provider:physical_network required for vlan provider network.")
        elif number is None:
            return
        if number is None and physical is not None and not vlan_ranges(options)[physical]:
            raise invalid(
                f"Invalid input for operation: provider:segmentation_id required, as physical network '{physical}' has "
                "no range of VLANs to choose from."
            )
    if number is not None and kind in _LIMITS and not _LIMITS[kind][0] <= number <= _LIMITS[kind][1]:
        low, high = _LIMITS[kind]
        raise invalid(f"Invalid input for operation: segmentation_id out of range ({low} through {high}).")


def _check_physical(kind: str, physical: str | None, known: Iterable[str]) -> None:
    if not physical:
        raise invalid(f"Invalid input for operation: physical_network required for {kind} provider network.")
    names = list(known)
    if physical not in names and "*" not in names:
        raise invalid(
            f"Invalid input for operation: physical_network '{physical}' unknown for {kind} provider network. "
            f"Known: {', '.join(names) or 'none'}."
        )


def _is_taken(tx: Tx, segment: Segment) -> bool:
    key = (segment.network_type, segment.physical_network or "", segment.segmentation_id or 0)
    return tx.find(SegmentAllocation, *key) is not None


def _any(tx: Tx, options: NetworkOptions, wanted: Segment) -> Segment:
    if wanted.network_type == "local":
        return wanted
    if wanted.network_type == "vxlan":
        ranges = {"": [parse_range(text) for text in options.vni_ranges]}
    else:
        ranges = {
            name: found
            for name, found in vlan_ranges(options).items()
            if wanted.physical_network in (None, name) and found
        }
    for physical, pairs in ranges.items():
        for low, high in pairs:
            number = _first_free(tx, wanted.network_type, physical, low, high)
            if number is not None:
                return Segment(wanted.network_type, physical or None, number)
    raise Conflict(
        "Unable to create the network. No tenant network is available for allocation: all ids of the configured "
        "ranges are in use. Delete networks, or widen the ranges in section [network].",
        kind="NoNetworkAvailable",
    )


def _first_free(tx: Tx, network_type: str, physical: str, low: int, high: int) -> int | None:
    taken = table_of(SegmentAllocation).c
    numbers = tx.scalars(
        select(taken.segmentation_id)
        .where(
            taken.network_type == network_type,
            taken.physical_network == physical,
            taken.segmentation_id >= low,
            taken.segmentation_id <= high,
        )
        .order_by(taken.segmentation_id)
    )
    candidate = low
    for number in numbers:
        if number != candidate:
            break
        candidate += 1
    return candidate if candidate <= high else None


def occupy(tx: Tx, segment: Segment, network_id: str) -> None:
    if segment.network_type != "local":
        tx.insert(
            SegmentAllocation,
            network_type=segment.network_type,
            physical_network=segment.physical_network or "",
            segmentation_id=segment.segmentation_id or 0,
            network_id=network_id,
        )


def vacate(tx: Tx, network_id: str) -> None:
    tx.delete_where(SegmentAllocation, table_of(SegmentAllocation).c.network_id == network_id)
