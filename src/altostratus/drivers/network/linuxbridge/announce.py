# SPDX-License-Identifier: Apache-2.0
"""Gratuitous ARP: telling neighbours at once that an address lives here now."""

import logging
import socket
import struct
from collections.abc import Iterable
from functools import partial

from altostratus.drivers.network.linuxbridge.model import Announcement
from altostratus.drivers.network.linuxbridge.netns import call_in_netns

_log = logging.getLogger(__name__)
_ETHERTYPE_ARP = 0x0806
_BROADCAST = b"\xff" * 6


def arp_frame(mac: str, address: str) -> bytes:
    """An ARP request for one's own address, sent to everybody (RFC 5227, section 3)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    protocol = socket.inet_aton(address)
    header = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return (
        _BROADCAST + hardware + struct.pack("!H", _ETHERTYPE_ARP) + header + hardware + protocol + bytes(6) + protocol
    )


def announce(announcements: Iterable[Announcement]) -> None:
    """Send one frame for each; a device that is already gone again is no error."""
    by_netns: dict[str, list[Announcement]] = {}
    for announcement in announcements:
        by_netns.setdefault(announcement.netns, []).append(announcement)
    for netns, mine in by_netns.items():
        try:
            call_in_netns(netns, partial(_send, mine))
        except OSError as error:
            _log.warning("cannot announce addresses in %s: %s", netns, error)


def _send(announcements: list[Announcement]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        for announcement in announcements:
            frame = arp_frame(announcement.mac, announcement.address)
            try:
                raw.sendto(frame, (announcement.device, _ETHERTYPE_ARP))
            except OSError as error:
                _log.warning("cannot announce %s on %s: %s", announcement.address, announcement.device, error)
