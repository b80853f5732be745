# SPDX-License-Identifier: Apache-2.0
"""Which address goes to whom (IPAM), and MAC addresses.

Addresses are given in order behind a cursor that wraps around, so finding one costs one short look at
an index however many are taken, and an address that was just freed is not given again at once.
"""

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.errors import invalid
from altostratus.services.network.models import IpAllocation, Port, Subnet

AUTO_MODES = frozenset({"slaac", "dhcpv6-stateless"})
_LOOK_AT = 256

_taken, _port = table_of(IpAllocation).c, table_of(Port).c
_TAKEN = (
    select(_taken.ip_key)
    .where(
        _taken.subnet_id == bindparam("subnet"), _taken.ip_key >= bindparam("start"), _taken.ip_key <= bindparam("end")
    )
    .order_by(_taken.ip_key)
    .limit(_LOOK_AT)
)
_WITH_MAC = select(_port.id).where(_port.network_id == bindparam("network"), _port.mac_address == bindparam("mac"))


def ip_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address | str) -> str:
    """The address as hexadecimal digits of fixed width."""
    return ipaddress.ip_address(address).packed.hex()


def _address(key: str) -> str:
    return str(ipaddress.ip_address(bytes.fromhex(key)))


def _plus_one(key: str) -> str:
    return format(int(key, 16) + 1, f"0{len(key)}x")


def is_auto_addressed(subnet: Row[Any]) -> bool:
    """Guests make their own address in such a subnet, from their MAC."""
    return subnet.ip_version == 6 and subnet.ipv6_address_mode in AUTO_MODES


def eui64(cidr: str, mac: str) -> str:
    """The address that a guest with this MAC makes for itself in an IPv6 /64."""
    octets = bytes.fromhex(mac.replace(":", ""))
    suffix = bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:]
    network = ipaddress.IPv6Network(cidr)
    return str(ipaddress.IPv6Address(int(network.network_address) | int.from_bytes(suffix, "big")))


def find_free(tx: Tx, subnet: Row[Any]) -> str | None:
    """The next free address of the subnet's allocation pools; None if all are taken."""
    pools = sorted((ip_key(pool["start"]), ip_key(pool["end"])) for pool in subnet.allocation_pools)
    cursor: str = subnet.ip_cursor
    behind = [(max(start, _plus_one(cursor)) if cursor else start, end) for start, end in pools if end > cursor]
    before = [(start, min(end, cursor)) for start, end in pools if cursor and start <= cursor]
    for start, end in (*behind, *before):
        key = _first_gap(tx, subnet.id, start, end)
        if key is not None:
            return _address(key)
    return None


def _first_gap(tx: Tx, subnet_id: str, start: str, end: str) -> str | None:
    candidate = start
    while candidate <= end:
        keys = tx.scalars(_TAKEN, {"subnet": subnet_id, "start": candidate, "end": end})
        for key in keys:
            if key != candidate:
                return candidate
            candidate = _plus_one(candidate)
        if len(keys) < _LOOK_AT:
            return candidate if candidate <= end else None
    return None


def is_taken(tx: Tx, subnet_id: str, address: str) -> bool:
    return tx.find(IpAllocation, subnet_id, ip_key(address)) is not None


def allocate(tx: Tx, subnet: Row[Any], address: str, port_id: str, *, move_cursor: bool) -> None:
    """Record that the port has the address. Raises Conflict if somebody else has it."""
    if not move_cursor and is_taken(tx, subnet.id, address):
        raise Conflict(
            f"IP address {address} already allocated in subnet {subnet.id}. Choose another, or none to get a free one.",
            kind="IpAddressAlreadyAllocated",
        )
    key = ip_key(address)
    tx.insert(
        IpAllocation,
        subnet_id=subnet.id,
        ip_key=key,
        ip_address=address,
        network_id=subnet.network_id,
        port_id=port_id,
    )
    if move_cursor:
        tx.update(Subnet, subnet.id, ip_cursor=key)


def free(tx: Tx, port_id: str, addresses: Iterable[str] | None = None) -> None:
    """Give back these addresses of the port, or all of them."""
    taken = table_of(IpAllocation).c
    conditions = [taken.port_id == port_id]
    if addresses is not None:
        conditions.append(taken.ip_address.in_(list(addresses)))
    tx.delete_where(IpAllocation, *conditions)


def subnet_of_address(subnets: Sequence[Row[Any]], address: str) -> Row[Any] | None:
    """The subnet whose range holds the address."""
    value = ipaddress.ip_address(address)
    for subnet in subnets:
        if value.version == subnet.ip_version and value in ipaddress.ip_network(subnet.cidr):
            return subnet
    return None


def check_usable(subnet: Row[Any], address: str) -> str:
    """The address in its shortest spelling; raises BadRequest if a port of the subnet cannot have it."""
    value = ipaddress.ip_address(address)
    network = ipaddress.ip_network(subnet.cidr)
    if value not in network:
        raise invalid(
            f"IP address {address} is not a valid IP for the specified subnet {subnet.cidr}.", "InvalidIpForSubnet"
        )
    whole = network.num_addresses <= 2
    if not whole and (value == network.network_address or (value.version == 4 and value == network.broadcast_address)):
        raise invalid(
            f"IP address {address} is the network or broadcast address of {subnet.cidr}; choose one in between.",
            "InvalidIpForSubnet",
        )
    return str(value)


# --- MAC addresses ---------------------------------------------------------------------------------------


def check_mac(mac: str) -> str:
    """The MAC in lower case with colons. Raises BadRequest for what no network card can have."""
    digits = mac.lower().replace("-", "").replace(":", "").replace(".", "")
    if len(digits) != 12 or any(digit not in "0123456789abcdef" for digit in digits):
        raise invalid(f"Invalid input for mac_address. Reason: '{mac}' is not a valid MAC address.")
    if int(digits[:2], 16) & 1:
        raise invalid(
            f"Invalid input for mac_address. Reason: '{mac}' is a multicast address (its first byte is odd), and a "
            "server's port needs a unicast one. A server with it would fail when it is built: expected unicast mac "
            f"address, found multicast '{mac}'. Choose a MAC whose first byte is even, for example "
            f"{int(digits[:2], 16) & 0xFE:02x}{mac[2:].lower()}, or none to get one."
        )
    if digits == "000000000000":
        raise invalid(f"Invalid input for mac_address. Reason: '{mac}' is not usable: all zero.")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def is_mac_taken(tx: Tx, network_id: str, mac: str) -> bool:
    return tx.first(_WITH_MAC, {"network": network_id, "mac": mac}) is not None


def new_mac(tx: Tx, network_id: str, base: str) -> str:
    """A MAC that nobody in the network has: `base` (3 bytes) and 3 random bytes."""
    for _ in range(16):
        tail = secrets.token_hex(3)
        mac = f"{base}:{tail[:2]}:{tail[2:4]}:{tail[4:]}"
        if not is_mac_taken(tx, network_id, mac):
            return mac
    raise Conflict(
        f"Unable to generate unique mac on network {network_id}: too many are taken. Give one yourself.",
        kind="MacAddressGenerationFailure",
    )
