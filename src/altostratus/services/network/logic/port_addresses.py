# SPDX-License-Identifier: Apache-2.0
"""Which addresses a port gets: those asked for, or one of each IP version and all automatic ones."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import Conflict
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic import addresses, queries

FixedIps = list[dict[str, str]]


class Assignment:
    """Addresses for one port in one network. Nothing is recorded before the port's row exists:
    `plan` chooses, `record` allocates."""

    def __init__(self, tx: Tx, network_id: str, subnets: Sequence[Row[Any]], device_owner: str, mac: str) -> None:
        self._tx, self._network_id, self._mac = tx, network_id, mac
        self._subnets = subnets
        self._by_id = {subnet.id: subnet for subnet in subnets}
        self._is_router = device_owner in queries.ROUTER_PORTS
        self._usable = [subnet for subnet in subnets if _serves(subnet, device_owner)]
        self._chosen: list[tuple[Row[Any], str, bool]] = []

    def plan(self, wanted: list[dict[str, Any]] | None) -> None:
        """Choose for `fixed_ips` of a request (None: not given). Raises BadRequest or Conflict."""
        if wanted is None:
            self._plan_any()
        else:
            for one in wanted:
                self._plan_one(one)

    def plan_automatic(self) -> None:
        """Add the address that the guest will make itself in every subnet with such addresses."""
        if self._is_router:
            return
        taken = {subnet.id for subnet, _, _ in self._chosen}
        for subnet in self._usable:
            if addresses.is_auto_addressed(subnet) and subnet.id not in taken:
                self._chosen.append((subnet, addresses.eui64(subnet.cidr, self._mac), False))

    def fixed_ips(self) -> FixedIps:
        """What was chosen, as a port shows it."""
        return [{"subnet_id": subnet.id, "ip_address": address} for subnet, address, _ in self._chosen]

    def record(self, port_id: str) -> FixedIps:
        """Allocate what was chosen to the port, which exists. Raises Conflict if an address is taken."""
        for subnet, address, from_pool in self._chosen:
            addresses.allocate(self._tx, subnet, address, port_id, move_cursor=from_pool)
        return self.fixed_ips()

    def _plan_any(self) -> None:
        for version in (4, 6):
            subnets = [
                subnet
                for subnet in self._usable
                if subnet.ip_version == version and not addresses.is_auto_addressed(subnet)
            ]
            if subnets:
                self._from_first_with_room(subnets)

    def _from_first_with_room(self, subnets: Sequence[Row[Any]]) -> None:
        for subnet in subnets:
            address = addresses.find_free(self._tx, subnet)
            if address is not None and all(address != taken for _, taken, _ in self._chosen):
                self._chosen.append((subnet, address, True))
                return
        shown = ", ".join(subnet.cidr for subnet in subnets)
        raise Conflict(
            f"No more IP addresses available on network {self._network_id}: the allocation pools of {shown} are used "
            "up. Delete ports, or add a subnet or a larger pool.",
            kind="IpAddressGenerationFailure",
        )

    def _plan_one(self, wanted: Mapping[str, Any]) -> None:
        subnet_id, address = wanted.get("subnet_id"), wanted.get("ip_address")
        if subnet_id is None and address is None:
            raise invalid("IP allocation requires subnet_id or ip_address.")
        if subnet_id is not None:
            subnet = self._by_id.get(subnet_id)
            if subnet is None:
                raise invalid(
                    f"Failed to create port on network {self._network_id}, because fixed_ips included invalid subnet "
                    f"{subnet_id}.",
                )
        else:
            subnet = addresses.subnet_of_address(self._subnets, str(address))
            if subnet is None:
                raise invalid(
                    f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
                    "InvalidIpForNetwork",
                )
        if address is not None:
            self._plan_address(subnet, str(address))
        elif addresses.is_auto_addressed(subnet) and not self._is_router:
            self._chosen.append((subnet, addresses.eui64(subnet.cidr, self._mac), False))
        else:
            self._plan_next(subnet)

    def _plan_address(self, subnet: Row[Any], address: str) -> None:
        plain = addresses.check_usable(subnet, address)
        if (
            addresses.is_auto_addressed(subnet)
            and not self._is_router
            and plain != addresses.eui64(subnet.cidr, self._mac)
        ):
            raise invalid(
                f"IPv6 address {address} can not be directly assigned to a port on subnet {subnet.id} since the subnet "
                "is configured for automatic addresses.",
                "AllocationOnAutoAddressSubnet",
            )
        self._chosen.append((subnet, plain, False))

    def _plan_next(self, subnet: Row[Any]) -> None:
        mine = {address for chosen, address, _ in self._chosen if chosen.id == subnet.id}
        if not mine:
            self._from_first_with_room([subnet])
            return
        # a second address of the same subnet: look beyond what this plan has taken already
        for pool in subnet.allocation_pools:
            first, last = (int(ipaddress.ip_address(pool[end])) for end in ("start", "end"))
            for number in range(first, min(last, first + 65536) + 1):
                address = str(ipaddress.ip_address(number.to_bytes(4 if subnet.ip_version == 4 else 16, "big")))
                if address not in mine and not addresses.is_taken(self._tx, subnet.id, address):
                    self._chosen.append((subnet, address, False))
                    return
        raise Conflict(f"No more IP addresses available for subnet {subnet.id}.", kind="IpAddressGenerationFailure")


def _serves(subnet: Row[Any], device_owner: str) -> bool:
    """Subnets with service types serve only ports of such owners."""
    return not subnet.service_types or any(device_owner.startswith(one) for one in subnet.service_types if one)


def reassign(
    tx: Tx, port: Row[Any], subnets: Sequence[Row[Any]], wanted: list[dict[str, Any]], device_owner: str
) -> FixedIps:
    """Make the port's addresses the wanted ones, keeping those it has already; the new `fixed_ips`."""
    kept: FixedIps = []
    new: list[dict[str, Any]] = []
    have = list(port.fixed_ips)
    by_subnet_only = []
    for one in wanted:
        address = one.get("ip_address")
        match = next((old for old in have if address is not None and old["ip_address"] == address), None)
        if match is not None and one.get("subnet_id") in (None, match["subnet_id"]):
            have.remove(match)
            kept.append(match)
        elif address is None and one.get("subnet_id"):
            by_subnet_only.append(one)
        else:
            new.append(one)
    for one in by_subnet_only:
        match = next((old for old in have if old["subnet_id"] == one["subnet_id"]), None)
        if match is not None:
            have.remove(match)
            kept.append(match)
        else:
            new.append(one)
    auto = {subnet.id for subnet in subnets if addresses.is_auto_addressed(subnet)}
    if wanted and device_owner not in queries.ROUTER_PORTS:
        replaced = {one["subnet_id"] for one in kept}
        staying = [old for old in have if old["subnet_id"] in auto - replaced]
        kept += staying
        have = [old for old in have if old not in staying]
    if have:
        addresses.free(tx, port.id, [old["ip_address"] for old in have])
    assignment = Assignment(tx, port.network_id, subnets, device_owner, port.mac_address)
    assignment.plan(new)
    return kept + assignment.record(port.id)
