# SPDX-License-Identifier: Apache-2.0
"""Forgetting connections: what a filter or a translation no longer allows must not live on as a memory.

Speaks ctnetlink (linux/netfilter/nfnetlink_conntrack.h) directly: list all entries of a namespace and
delete those that touch given addresses.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from altostratus.drivers.network.linuxbridge.netns import call_in_netns

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 1 << 8
_GET, _DELETE = 1, 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED_BITS = 0x3FFF
# attributes of an entry
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP = 1
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TIMEOUT_S = 5.0

# addresses to forget, each with the zone it counts in (None: in any)
Addresses = Mapping[str, int | None]


def forget_connections(netns: str, addresses: Addresses) -> int:
    """Delete the entries of which an end is one of `addresses`; returns how many. Raises OSError."""
    wanted = {ip_address(text).packed: zone for text, zone in addresses.items()}
    if not wanted:
        return 0
    return call_in_netns(netns, lambda: _forget(wanted))


def _forget(wanted: Mapping[bytes, int | None]) -> int:
    deleted = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.bind((0, 0))
        netlink.settimeout(_TIMEOUT_S)
        for family in _FAMILIES:
            for entry in list(_list_entries(netlink, family)):
                if _touches(entry, wanted) and _delete(netlink, family, entry):
                    deleted += 1
    return deleted


def _message(kind: int, flags: int, family: int, body: bytes = b"") -> bytes:
    header = struct.pack("=IHHII", 20 + len(body), _SUBSYSTEM | kind, _REQUEST | flags, 0, 0)
    return header + struct.pack("=BBH", family, 0, 0) + body


def _answers(netlink: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Kinds and bodies of the messages that come, until the last one."""
    while True:
        data = netlink.recv(1 << 18)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (_DONE, _ERROR):
                yield kind, data[16:length]
                return
            yield kind, data[16:length]
            data = data[(length + 3) & ~3 :]


def _list_entries(netlink: socket.socket, family: int) -> Iterator[dict[int, bytes]]:
    netlink.send(_message(_GET, _DUMP, family))
    for kind, body in _answers(netlink):
        if kind not in (_DONE, _ERROR):
            yield dict(_attributes(body[4:]))


def _delete(netlink: socket.socket, family: int, entry: Mapping[int, bytes]) -> bool:
    # tuple and zone find the entry, its id says that it is still the same one
    body = b"".join(
        struct.pack("=HH", len(entry[kind]) + 4, kind | (0x8000 if kind == _TUPLE_ORIGINAL else 0))
        + entry[kind]
        + bytes(-len(entry[kind]) % 4)
        for kind in (_TUPLE_ORIGINAL, _ID, _ZONE)
        if kind in entry
    )
    netlink.send(_message(_DELETE, _ACK, family, body))
    for kind, answer in _answers(netlink):
        if kind == _ERROR:
            # an entry that ended by itself in the meantime is no error
            return bool(struct.unpack_from("=i", answer)[0] == 0)
    return False


def _touches(entry: Mapping[int, bytes], wanted: Mapping[bytes, int | None]) -> bool:
    zone = struct.unpack(">H", entry[_ZONE][:2])[0] if _ZONE in entry else 0
    for side in (_TUPLE_ORIGINAL, _TUPLE_REPLY):
        parts = dict(_attributes(entry.get(side, b"")))
        for address in dict(_attributes(parts.get(_TUPLE_IP, b""))).values():
            if address in wanted and wanted[address] in (None, zone):
                return True
    return False


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & _NESTED_BITS, data[4:length]
        data = data[(length + 3) & ~3 :]
