# SPDX-License-Identifier: Apache-2.0
"""Guests without virtual machines: a namespace behind a real tap.

The driver's tap is opened exactly as QEMU opens it, and a thread carries frames between it and a tap
inside the guest's namespace. So filters, limits and DHCP see what they would see from a real guest.
"""

import fcntl
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from altostratus.drivers.network.linuxbridge.netns import call_in_netns

TUNSETIFF = 0x400454CA
TAP_NO_PI_VNET_HDR = 0x0002 | 0x1000 | 0x4000
FRAME_BYTES = 70000

_UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr replace $ip/${mask:-24} dev $interface
[ -n "$mtu" ] && ip link set $interface mtu $mtu
set -- $staticroutes
while [ $# -ge 2 ]; do
  if [ "$2" = 0.0.0.0 ]; then ip route replace $1 dev $interface; else ip route replace $1 via $2 dev $interface; fi
  shift 2
done
echo "dns=$dns domain=$domain hostname=$hostname mtu=$mtu router=$router"
"""


def run(netns: str, *argv: str, stdin: str = "", timeout_s: float = 15) -> subprocess.CompletedProcess[str]:
    """A command inside a namespace."""
    return call_in_netns(
        netns,
        lambda: subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace"
        ),
    )


def check(netns: str, *argv: str, stdin: str = "") -> str:
    """The same; it must succeed."""
    done = run(netns, *argv, stdin=stdin)
    assert done.returncode == 0, f"{argv} in {netns}: {done.stdout}{done.stderr}"
    return done.stdout


def open_tap(netns: str, name: str) -> int:
    """File descriptor of a tap, opened the way QEMU's driver does."""

    def opened() -> int:
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH14x", name.encode(), TAP_NO_PI_VNET_HDR))
        return handle

    return call_in_netns(netns, opened)


class Guest:
    """A namespace with `eth0`, wired to `tap` of `hypervisor`. Close it: it has a thread."""

    def __init__(self, name: str, hypervisor: str, tap: str, mac: str) -> None:
        self.netns = f"altotest-{name}-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        self._inside = -1
        self._outside = -1
        self._wake, self._wake_up = os.pipe()
        self._thread: threading.Thread | None = None
        try:
            self._inside = open_tap(self.netns, "eth0")
            for line in (f"link set eth0 address {mac} up", "link set lo up"):
                check(self.netns, "ip", *line.split())
            self._outside = open_tap(hypervisor, tap)
            self._thread = threading.Thread(target=self._carry, daemon=True)
            self._thread.start()
            _wait_for_carrier(hypervisor, tap)
        except BaseException:
            self.close()
            raise

    def _carry(self) -> None:
        other = {self._inside: self._outside, self._outside: self._inside}
        with selectors.DefaultSelector() as selector:
            for handle in (*other, self._wake):
                selector.register(handle, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._wake:
                        return
                    try:
                        os.write(other[key.fd], os.read(key.fd, FRAME_BYTES))
                    except BlockingIOError:
                        continue
                    except OSError:
                        # a device that is down loses frames, as a cable does
                        continue

    def close(self) -> None:
        os.write(self._wake_up, b"x")
        if self._thread is not None:
            self._thread.join(timeout=5)
        for handle in (self._inside, self._outside, self._wake, self._wake_up):
            if handle >= 0:
                os.close(handle)
        subprocess.run(["ip", "netns", "del", self.netns], check=False)

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run(self.netns, *argv, stdin=stdin)

    def check(self, *argv: str) -> str:
        return check(self.netns, *argv)

    def address(self, cidr: str, gateway: str | None = None) -> None:
        """A static address, as if DHCP had been here."""
        self.check("ip", "addr", "replace", cidr, "dev", "eth0", *(["nodad"] if ":" in cidr else []))
        if gateway is not None:
            self.check("ip", "route", "replace", "default", "via", gateway)

    def dhcp(self, directory: Path) -> str:
        """Ask for an address once; returns what was offered, raises AssertionError without an answer."""
        script = directory / "udhcpc.sh"
        script.write_text(_UDHCPC_SCRIPT, encoding="ascii")
        script.chmod(0o755)
        options = ["-O", "staticroutes", "-O", "mtu", "-O", "domain", "-O", "hostname"]
        options += ["-f", "-q", "-n", "-t", "3", "-T", "1", "-i", "eth0", "-s", str(script)]
        return self.check("busybox", "udhcpc", *options)

    def pings(self, address: str, *options: str) -> bool:
        return self.run("ping", "-c1", "-W1", *options, address).returncode == 0


def _wait_for_carrier(netns: str, device: str) -> None:
    """The kernel takes up to a second to tell a bridge that somebody has plugged in."""
    deadline = time.monotonic() + 3
    while " UP " not in run(netns, "ip", "-br", "link", "show", device).stdout and time.monotonic() < deadline:
        time.sleep(0.02)


def reaches(netns: str, address: str, port: int) -> bool:
    """Whether a TCP connection can be made."""
    return run(netns, "busybox", "nc", "-w1", address, str(port)).returncode == 0


class Echo:
    """A TCP server inside a namespace that says who called."""

    def __init__(self, netns: str, port: int) -> None:
        self._server = call_in_netns(netns, lambda: _listening(port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, address = self._server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(address[0].encode())

    def close(self) -> None:
        self._server.shutdown(2)
        self._server.close()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listening(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", port))
    server.listen(8)
    return server


def caller_seen(netns: str, address: str, port: int) -> str:
    """The address under which an `Echo` saw us; empty when it could not be reached."""
    return run(netns, "busybox", "nc", "-w2", address, str(port)).stdout


@contextmanager
def started(netns: str, *argv: str) -> Iterator[None]:
    """A program that runs in a namespace for a while."""
    process = call_in_netns(netns, lambda: subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def transfer_kbps(sender: str, receiver: str, address: str, size: int = 1_000_000) -> float:
    """How fast `size` bytes arrive."""
    with closing(call_in_netns(receiver, lambda: _listening(7100))) as server:
        server.settimeout(10)
        with started(sender, "sh", "-c", f"head -c {size} /dev/zero | busybox nc -w10 {address} 7100"):
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                begin = time.monotonic()
                received = 0
                while received < size and (chunk := connection.recv(65536)):
                    received += len(chunk)
                return received * 8 / 1000 / (time.monotonic() - begin)


def dhcpv6_offer(guest: Guest, mac: str) -> str:
    """Solicit once over DHCPv6 (RFC 8415) and return the address that is offered."""
    duid = struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))

    def option(code: int, data: bytes) -> bytes:
        return struct.pack("!HH", code, len(data)) + data

    def ask() -> str:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
            asking.bind(("::", 546))
            asking.settimeout(1)
            index = socket.if_nametoindex("eth0")
            solicit = b"\x01abc" + option(1, duid) + option(3, struct.pack("!III", 1, 0, 0)) + option(8, b"\0\0")
            for _ in range(4):
                asking.sendto(solicit, ("ff02::1:2", 547, 0, index))
                with suppress(TimeoutError):
                    answer = asking.recv(2000)
                    # the address of the first IAADDR option
                    at = answer.index(struct.pack("!HH", 5, 24)) + 4
                    return socket.inet_ntop(socket.AF_INET6, answer[at : at + 16])
        raise AssertionError("no DHCPv6 answer")

    return call_in_netns(guest.netns, ask)
