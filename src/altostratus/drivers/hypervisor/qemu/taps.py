# SPDX-License-Identifier: Apache-2.0
"""Open a guest's tap, which lives in a network namespace that QEMU itself never enters."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from altostratus.contracts.hypervisor import HypervisorError, NicSpec

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


def netns_path(netns: str) -> str:
    """Path of a namespace that is given by path or by its name under /run/netns."""
    return netns if "/" in netns else f"/run/netns/{netns}"


def run_in_netns(netns: str | None, work: Callable[[], T]) -> T:
    """Run `work` inside the namespace, in a thread of its own because setns binds a thread for good.

    Raises OSError if there is no such namespace.
    """
    if netns is None:
        return work()
    results: list[T] = []
    errors: list[OSError] = []

    def enter() -> None:
        try:
            handle = os.open(netns_path(netns), os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), netns)
            finally:
                os.close(handle)
            results.append(work())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def open_tap(nic: NicSpec) -> int:
    """A file descriptor of the tap, for the caller to close. Raises HypervisorError, worth a later try."""
    try:
        return run_in_netns(nic.netns, lambda: _open(nic.tap))
    except OSError as error:
        where = f"in network namespace {nic.netns}" if nic.netns else "on this host"
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            message = f"The network agent has not made tap {nic.tap} {where} yet (port {nic.port_id})."
        elif error.errno == errno.EBUSY:
            message = f"Tap {nic.tap} {where} is still in use by another process (port {nic.port_id})."
        else:
            message = f"Tap {nic.tap} {where} cannot be opened: {os.strerror(error.errno or 0)} (port {nic.port_id})."
        raise HypervisorError(message) from error


def _open(name: str) -> int:
    # Opening a tap that is not there would make one, outside every bridge and every rule.
    try:
        socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name) from error
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH14x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(handle, _TUNSETIFF, request)
    except OSError:
        os.close(handle)
        raise
    return handle


def tap_counters(nic: NicSpec) -> dict[str, int] | None:
    """Traffic as the guest sees it (the tap's transmit is the guest's receive); None if it cannot be read."""
    try:
        text = run_in_netns(nic.netns, lambda: Path("/proc/thread-self/net/dev").read_text(encoding="ascii"))
    except OSError:
        return None
    for line in text.splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == nic.tap:
            n = [int(word) for word in numbers.split()]
            return {
                "rx_octets": n[8],
                "rx_packets": n[9],
                "rx_errors": n[10],
                "rx_drop": n[11],
                "tx_octets": n[0],
                "tx_packets": n[1],
                "tx_errors": n[2],
                "tx_drop": n[3],
            }
    return None
