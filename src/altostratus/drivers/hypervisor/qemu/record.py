# SPDX-License-Identifier: Apache-2.0
"""What the driver remembers of one server, and where its files are.

The record says what was carried out; the truth about the process comes from /proc and QMP. It is written before
an effect when the effect must not be lost sight of, and always by rename, so that it is whole after any crash.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from altostratus.contracts.hypervisor import HypervisorError, ServerSpec

_ID = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,63}")


class LocalDisk(msgspec.Struct, frozen=True):
    """A disk file of ours: its format, the cached image below it, and the ask that filled it."""

    file: str
    format: str
    base: str | None
    base_format: str | None
    fill_token: str | None
    origin: str | None


class Record(msgspec.Struct, kw_only=True):
    """Carried out so far. `booted` is the spec of the running guest, kept up to date by hot plug."""

    spec: ServerSpec
    booted: ServerSpec | None = None
    ports: dict[str, str] = {}
    local_disks: dict[str, LocalDisk] = {}
    pid: int | None = None
    pid_start: str | None = None
    host_boot: str | None = None
    started_at: str | None = None
    power_done: str | None = None
    power_token: str | None = None
    reboot_token: str | None = None
    snapshot_token: str | None = None
    snapshot_size_bytes: int | None = None
    saved: bool = False
    ended: Literal["stopped", "crashed"] | None = None
    ended_reason: str | None = None
    config_drive_hash: str | None = None


@dataclass(frozen=True)
class ServerFiles:
    """Paths of one server's directory.

    QEMU may write in `run` only, so that a guest that broke out of it cannot lay traps for the agent. Names are
    short there: the kernel allows a socket's path 107 bytes.
    """

    directory: Path

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def record(self) -> Path:
        return self.directory / "applied.json"

    @property
    def console_log(self) -> Path:
        return self.directory / "console.log"

    @property
    def qemu_log(self) -> Path:
        return self.directory / "qemu.log"

    @property
    def pid(self) -> Path:
        return self.run / "pid"

    @property
    def monitor(self) -> Path:
        return self.run / "qmp"

    @property
    def vnc(self) -> Path:
        return self.run / "vnc"

    @property
    def serial(self) -> Path:
        return self.run / "serial"

    @property
    def guest_agent(self) -> Path:
        return self.run / "agent"

    @property
    def config_drive(self) -> Path:
        return self.directory / "config.iso"

    @property
    def uefi_variables(self) -> Path:
        return self.directory / "uefi-vars.fd"

    @property
    def saved_state(self) -> Path:
        return self.directory / "saved-state"

    @property
    def snapshot_part(self) -> Path:
        return self.directory / "snapshot.part"

    def disk(self, name: str, format: str) -> Path:
        return self.directory / f"{name}.{format}"

    def load(self) -> Record | None:
        """None if nothing of this server is here. Raises HypervisorError if the record cannot be read."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise HypervisorError(f"The record {self.record} cannot be read ({error}). Delete the server.") from error

    def store(self, record: Record) -> None:
        data = msgspec.json.encode(record)
        temporary = self.record.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.record)

    def remove(self) -> None:
        """Delete the whole directory, the record last: a crash in between leaves a server that is listed."""
        if not self.directory.exists():
            return
        for entry in self.directory.iterdir():
            if entry == self.record:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)
        self.directory.rmdir()


def is_server_id(text: str) -> bool:
    """Whether the name may be a directory of ours: ids become paths, so nothing else is let through."""
    return _ID.fullmatch(text) is not None
