# SPDX-License-Identifier: Apache-2.0
"""The `[cloud]` section, and where everything of one cloud lies."""

import hashlib
import os
from pathlib import Path
from typing import Annotated

from altostratus.kernel.config import Meta, Section


class CloudOptions(Section, frozen=True, kw_only=True, name="cloud"):
    """What concerns the whole cloud."""

    listen: Annotated[str, Meta(description="address the API listens on; loopback unless told otherwise")] = "127.0.0.1"
    port: Annotated[int, Meta(description="the one public port of all APIs", ge=1, le=65535)] = 8780
    console_port: Annotated[int, Meta(description="port of VNC and serial consoles; 0: none", ge=0, le=65535)] = 6080
    region: Annotated[str, Meta(description="region of this cloud in the catalog")] = "RegionOne"
    host: Annotated[str, Meta(description="name of this host; empty: the machine's own")] = ""
    public_url: Annotated[str, Meta(description="base URL in the catalog; empty: made of listen and port")] = ""
    database: Annotated[str, Meta(description="SQLAlchemy URL; empty: SQLite in the state directory")] = ""
    log_level: Annotated[str, Meta(description="DEBUG, INFO, WARNING or ERROR")] = "INFO"
    api_threads: Annotated[
        int,
        Meta(description="requests that read the database at one time, at most; one, unless it waits", ge=1, le=256),
    ] = 12
    api_requests: Annotated[
        int,
        Meta(description="requests under way, with those that wait for slow clients; each a thread", ge=16, le=8192),
    ] = 1536
    api_connections: Annotated[int, Meta(description="open connections; more of them wait", ge=16, le=65536)] = 8192
    client_timeout_s: Annotated[
        float,
        Meta(description="seconds without a byte after which an upload is ended, or a download that stands", ge=1),
    ] = 60.0
    job_workers: Annotated[int, Meta(description="threads that work on jobs", ge=1, le=64)] = 4
    run_as_uid: Annotated[
        int, Meta(description="user id of the control process and of guests when started by root")
    ] = 61880
    hypervisor: Annotated[str, Meta(description="qemu or fake", pattern="^(qemu|fake)$")] = "qemu"
    network: Annotated[str, Meta(description="linuxbridge or fake", pattern="^(linuxbridge|fake)$")] = "linuxbridge"
    volume: Annotated[str, Meta(description="file or fake", pattern="^(file|fake)$")] = "file"
    objects: Annotated[str, Meta(description="embedded, rados or fake", pattern="^(embedded|rados|fake)$")] = "embedded"


class Paths:
    """Every path of one cloud, below its state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.state = state_dir
        self.config = state_dir / "altostratus.toml"
        self.database = state_dir / "db" / "altostratus.sqlite"
        self.logs = state_dir / "log"
        self.run = state_dir / "run"
        self.policy = state_dir / "policy"
        self.secrets = state_dir / "secrets"
        self.fernet_keys = state_dir / "secrets" / "fernet-keys"
        self.images = state_dir / "images"
        self.image_staging = state_dir / "staging"
        self.objects = state_dir / "objects"
        self.object_policies = state_dir / "objects" / "policies.json"
        self.volumes = state_dir / "volumes"
        self.servers = state_dir / "servers"
        self.image_cache = state_dir / "cache"
        self.network = state_dir / "network"
        self.host_socket = self.run / "host-api.sock"
        self.control_pid = self.run / "control.pid"
        self.agent_pid = self.run / "agent.pid"
        self.console_pid = self.run / "console.pid"

    @property
    def tag(self) -> str:
        """Six characters that name this cloud's namespaces: different for every state directory."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    def object_rings(self, policy: int) -> Path:
        """Where the ring of a storage policy lies."""
        return self.objects / f"policy-{policy}" if policy else self.objects

    def database_url(self, options: CloudOptions) -> str:
        return options.database or f"sqlite:///{self.database}"


def default_state_dir() -> Path:
    """`$ALTO_STATE`, else `/var/lib/altostratus` for root, else the user's own data directory."""
    if chosen := os.environ.get("ALTO_STATE"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/altostratus")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "altostratus"


def base_url(options: CloudOptions) -> str:
    """Where clients find the cloud, without a trailing slash."""
    host = "127.0.0.1" if options.listen in ("0.0.0.0", "::") else options.listen
    shown = f"[{host}]" if ":" in host else host
    return (options.public_url or f"http://{shown}:{options.port}").rstrip("/")
