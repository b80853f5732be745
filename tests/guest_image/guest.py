# SPDX-License-Identifier: Apache-2.0
"""A guest under plain QEMU with user networking, for looking at the mini image from outside."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

BOOT_TIMEOUT_S = 120


class Guest:
    """Starts on construction; use as a context manager so that it ends with the test."""

    def __init__(
        self,
        image: str,
        work: Path,
        *,
        drive: Path | None = None,
        network: str = "",
        firmware: Sequence[str] = (),
        memory_mib: int = 128,
    ) -> None:
        self.work = work
        self.console_path = work / "console"
        self.port = _free_port()
        disk = work / "disk.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", str(disk), "1G"],
            check=True,
        )
        arguments = [
            *(
                "qemu-system-x86_64",
                "-accel",
                "tcg,tb-size=64",
                "-cpu",
                "max",
                "-M",
                "q35",
                "-m",
                str(memory_mib),
                "-nodefaults",
            ),
            *("-display", "none", "-qmp", f"unix:{work}/qmp,server=on,wait=off", *firmware),
            *("-chardev", f"socket,id=serial,path={work}/serial,server=on,wait=off,logfile={self.console_path}"),
            *("-serial", "chardev:serial", "-device", "virtio-rng-pci"),
            *(
                "-drive",
                f"file={disk},if=none,id=root,format=qcow2",
                "-device",
                "virtio-blk-pci,drive=root,bootindex=0",
            ),
            *("-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{self.port}-:22{network}"),
            *("-device", "virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01"),
            *("-device", "pcie-root-port,id=spare0,chassis=1", "-device", "pcie-root-port,id=spare1,chassis=2"),
        ]
        if drive is not None:
            iso = work / "config.iso"
            subprocess.run(
                ["genisoimage", "-quiet", "-V", "config-2", "-R", "-J", "-o", str(iso), str(drive)], check=True
            )
            arguments += ["-drive", f"file={iso},if=none,id=cd,format=raw,readonly=on"]
            arguments += ["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cd"]
        self.started = time.monotonic()
        self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
        self._qmp: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def console(self) -> str:
        return self.console_path.read_text(errors="replace") if self.console_path.exists() else ""

    def wait_for(self, words: str, timeout_s: float = BOOT_TIMEOUT_S) -> float:
        """Wait until the console shows `words`; seconds since the start."""
        self.wait_until(lambda: words in self.console, f"'{words}' on the console", timeout_s)
        return time.monotonic() - self.started

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"no {what} in {timeout_s} s; the console:\n{self.console}"
            assert self._process.poll() is None, f"the guest ended before {what}; the console:\n{self.console}"
            time.sleep(0.1)

    def wait_end(self, timeout_s: float = 60) -> int:
        return self._process.wait(timeout_s)

    def ssh(self, command: str, *, user: str = "cirros", key: Path | None = None, password: str | None = None) -> str:
        """Output of a command in the guest. Raises CalledProcessError, with what was said, if it fails."""
        environment = dict(os.environ)
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", *(["-i", str(key)] if key else [])]
        if password is not None:
            ask = self.work / "askpass"
            ask.write_text(f"#!/bin/sh\necho '{password}'\n")
            ask.chmod(0o700)
            environment |= {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
            options = ["-F", "none", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        done = subprocess.run(
            [
                *("ssh", "-q", "-p", str(self.port), "-o", "ConnectTimeout=20", *options),
                *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{user}@127.0.0.1", command),
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, env=environment, check=False,
        )  # fmt: skip
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def qmp(self, command: str, **arguments: Any) -> Any:
        if self._qmp is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.work / "qmp"))
            self._qmp = connection.makefile("rw")
            self._qmp.readline()
            self.qmp("qmp_capabilities")
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._qmp.flush()
        while True:
            answer = json.loads(self._qmp.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def serial_login(self, name: str, password: str, command: str) -> str:
        """Log in at the serial console, run a command, and return what was shown."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(self.work / "serial"))
        before = shown = ""

        def expect(pattern: str) -> None:
            nonlocal shown
            deadline = time.monotonic() + 30
            while not re.search(pattern, shown):
                assert time.monotonic() < deadline, f"no {pattern!r} in {shown!r}"
                shown += connection.recv(4096).decode(errors="replace")

        with connection:
            connection.sendall(b"\n")
            for pattern, text in (
                (r"login: $", name),
                (r"Password: $", password),
                (r"[$#] $", command),
                (r"[$#] $", ""),
            ):
                expect(pattern)
                if text:
                    before, shown = shown, ""
                    connection.sendall(text.encode() + b"\n")
            expect(r"[$#] $")
            return before + shown


def make_drive(directory: Path, meta: dict[str, Any], user_data: str | None = None) -> Path:
    """A directory with the files of a config drive."""
    latest = directory / "openstack" / "latest"
    latest.mkdir(parents=True)
    (latest / "meta_data.json").write_text(json.dumps(meta))
    if user_data is not None:
        (latest / "user_data").write_text(user_data)
    return directory


def make_key(path: Path, kind: str) -> str:
    """A new key pair; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    return Path(f"{path}.pub").read_text()


def lacks() -> str | None:
    """What the host lacks to run a guest, or None."""
    for program in ("qemu-system-x86_64", "qemu-img", "genisoimage", "setpriv", "ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
