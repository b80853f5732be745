# SPDX-License-Identifier: Apache-2.0
"""A private Ceph on loopback ports: a monitor and disks of files, in a temporary directory, as small as it goes."""

import base64
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from altostratus.drivers.object_store.rados import RadosOptions, librados

UNPACKED = Path(sys.prefix) / "share/altostratus/ceph"
POOL = "altostratus"
# of a user of the cloud, as docs/object-store-ceph.md gives them
CAPS = {"mon": "allow r", "osd": f"allow rw pool={POOL}"}
CONFIG = """\
[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {directory}/$cluster.$name.keyring,{directory}/keyring
run dir = {directory}
admin socket = {directory}/$name.$pid.asok
log file = {directory}/$name.log
pid file =
{plugins}
ms bind ipv6 = false
osd pool default size = {copies}
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
mon data avail warn = 1
mon data avail crit = 1
mon data = {directory}/mon
mon rocksdb options = write_buffer_size=4194304,compression=kNoCompression
osd data = {directory}/osd.$id
osd objectstore = bluestore
bluestore block size = {disk_bytes}
bluestore block create = true
bluestore cache autotune = false
bluestore cache size = 33554432
osd op num shards = 1
osd op num threads per shard = 2
osd memory target = 939524096
rocksdb cache size = 16777216
"""


def why_not() -> str | None:
    """A reason to skip, or None."""
    if _program("ceph-osd") and _program("ceph-mon"):
        return None
    return "needs Ceph's daemons: `./dev system` unpacks them, or run tools/fetch-ceph"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{UNPACKED}/usr/bin:{os.environ.get('PATH', '')}")


def environment() -> dict[str, str]:
    """For processes that use Ceph's libraries."""
    libraries = [str(path) for place in ("", "/ceph") for path in UNPACKED.glob(f"**/lib/*-linux-gnu*{place}")]
    return os.environ | ({"LD_LIBRARY_PATH": ":".join(libraries)} if UNPACKED.exists() else {})


def load_library() -> None:
    """Let this process find librados and what it needs: the loader does not look into the unpacked tree."""
    names = ("librados.so", "libceph-common", "libboost_thread", "libfmt", "libib", "librdmacm", "libnl")
    waiting = {path for path in UNPACKED.glob("**/lib*.so.*") if path.name.startswith(names)}
    while loaded := {path for path in waiting if _loads(path)}:
        waiting -= loaded


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


class PrivateCeph:
    """`with PrivateCeph(directory) as ceph: ceph.options`. `disks` daemons, each blob in as many copies.

    `prepared`: with the user and the pool of a cloud.
    """

    def __init__(self, directory: Path, *, disks: int = 1, disk_bytes: int = 4 << 30, prepared: bool = True) -> None:
        self.directory, self.disks, self.prepared = directory, disks, prepared
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._admin: ctypes.c_void_p | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._fsid = str(uuid.uuid4())
        self._monitor = f"[v2:127.0.0.1:{_free_port()}]"
        tree = next((UNPACKED / "usr/lib").glob("*-linux-gnu*"), None)
        places = {"erasure code dir": "ceph/erasure-code", "plugin dir": "ceph", "osd class dir": "rados-classes"}
        plugins = "\n".join(f"{name} = {tree}/{place}" for name, place in places.items()) if tree else ""
        self.conf = directory / "ceph.conf"
        self.conf.write_text(
            CONFIG.format(
                fsid=self._fsid,
                monitor=self._monitor,
                directory=directory,
                plugins=plugins,
                copies=disks,
                disk_bytes=disk_bytes,
            )
        )
        self._make_keys()

    @property
    def options(self) -> RadosOptions:
        return RadosOptions(conf=str(self.conf), user="altostratus", pool=POOL, timeout_s=5)

    def __enter__(self) -> Self:
        try:
            self._make_monitor()
            self.start("mon.a")
            self._connect()
            for number in range(self.disks):
                self._make_disk(number)
                self.start(f"osd.{number}")
            self.wait_until_up()
            if self.prepared:
                self.make_pool(POOL)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str) -> None:
        """A daemon: mon.a, osd.0 ..."""
        kind, _, id = name.partition(".")
        with (self.directory / "out").open("ab") as out:
            # ended with the tests, even if those are killed
            argv = ["setpriv", "--pdeathsig", "KILL", self._path(f"ceph-{kind}"), "-f", "-c", str(self.conf), "-i", id]
            self._processes[name] = subprocess.Popen(argv, env=environment(), stdout=out, stderr=out)

    def kill(self, name: str) -> None:
        """As a power cut does."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(10)

    def freeze(self, name: str) -> None:
        """It holds its connections and says nothing."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._admin is not None:
            librados.load().slow.rados_shutdown(self._admin)
            self._admin = None
        for name in reversed(list(self._processes)):
            self.kill(name)

    def make_pool(self, name: str) -> None:
        self.tell("osd pool create", pool=name, pg_num=8, size=self.disks)
        self.tell("osd pool application enable", pool=name, app="altostratus")

    def tell(self, prefix: str, **arguments: Any) -> Any:
        """A command to the monitor, such as `osd dump`; what it answers."""
        return _mon_command(self._admin, {"prefix": prefix, "format": "json", **arguments})

    def wait_until_up(self) -> None:
        """All disks."""
        deadline = time.monotonic() + 30
        while self.tell("osd stat")["num_up_osds"] < self.disks:
            assert time.monotonic() < deadline, (self.directory / "out").read_text()
            time.sleep(0.1)

    def run(self, program: str, *arguments: str) -> str:
        argv = [self._path(program), "-c", str(self.conf), *arguments]
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        """For a person who types `ceph` and `rados`."""
        tools, tree = self.directory / "bin", UNPACKED / "usr"
        tools.mkdir(exist_ok=True)
        if tree.exists():  # the program of Ceph that is written in Python
            words = f'PYTHONPATH={tree}/lib/python3/dist-packages exec {tree}/bin/ceph "$@"'
            (tools / "ceph").write_text(f"#!/bin/sh\n{words}\n")
            (tools / "ceph").chmod(0o755)
        known = environment()
        return known | {"CEPH_CONF": str(self.conf), "PATH": f"{tools}:{tree}/bin:{known['PATH']}"}

    def _path(self, program: str) -> str:
        found = _program(program)
        assert found is not None, program
        return found

    def _make_keys(self) -> None:
        everything = dict.fromkeys(("mon", "osd", "mgr"), "allow *")
        users = {"mon.": {"mon": "allow *"}, "client.admin": everything}
        users |= {"client.altostratus": CAPS} if self.prepared else {}
        users |= {f"osd.{number}": everything | {"mon": "allow profile osd"} for number in range(self.disks)}
        lines = []
        for name, caps in users.items():
            key = struct.pack("<HIIH", 1, int(time.time()), 0, 16) + os.urandom(16)
            lines += [f"[{name}]", f"key = {base64.b64encode(key).decode()}"]
            lines += [f'caps {kind} = "{cap}"' for kind, cap in caps.items()]
        (self.directory / "keyring").write_text("\n".join(lines) + "\n")

    def _make_monitor(self) -> None:
        names = "--fsid", self._fsid, "--addv", "a", self._monitor, "--create", str(self.directory / "monmap")
        (self.directory / "mon").mkdir()
        self.run("monmaptool", *names)
        keyring = str(self.directory / "keyring")
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.directory / "monmap"), "--keyring", keyring)

    def _make_disk(self, number: int) -> None:
        (self.directory / f"osd.{number}").mkdir()
        own = str(uuid.uuid4())
        self.tell("osd new", uuid=own)
        self.run("ceph-osd", "--mkfs", "-i", str(number), "--osd-uuid", own)

    def _connect(self) -> None:
        library, cluster = librados.load(), ctypes.c_void_p()
        assert library.slow.rados_create2(cluster, b"ceph", b"client.admin", 0) == 0
        assert library.slow.rados_conf_read_file(cluster, str(self.conf).encode()) == 0
        library.slow.rados_conf_set(cluster, b"client_mount_timeout", b"30")
        result = library.slow.rados_connect(cluster)
        assert result == 0, f"{result}: {(self.directory / 'out').read_text()}"
        self._admin = cluster


def _mon_command(cluster: ctypes.c_void_p | None, command: dict[str, Any]) -> Any:
    slow = librados.load().slow
    words = (ctypes.c_char_p * 1)(json.dumps(command).encode())
    out, out_len = ctypes.c_char_p(), ctypes.c_size_t()
    said, said_len = ctypes.c_char_p(), ctypes.c_size_t()
    result = slow.rados_mon_command(
        cluster, words, 1, None, ctypes.c_size_t(0), ctypes.byref(out), ctypes.byref(out_len),
        ctypes.byref(said), ctypes.byref(said_len),
    )  # fmt: skip
    assert result == 0, f"{command}: {result} {(said.value or b'').decode()}"
    answer = ctypes.string_at(out, out_len.value) if out.value else b""
    return json.loads(answer) if answer.strip() else None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
