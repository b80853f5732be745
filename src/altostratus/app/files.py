# SPDX-License-Identifier: Apache-2.0
"""The state directory: what lies where, who owns it, and the secrets made at first start."""

import json
import os
from pathlib import Path

from altostratus.app.options import CloudOptions, Paths
from altostratus.kernel import ids
from altostratus.kernel.config import load


def load_options(paths: Paths) -> CloudOptions:
    """Only the `[cloud]` section, without loading any service. Raises ConfigError."""
    return load(paths.config, (CloudOptions,), only=False)[CloudOptions]


def owner_of(options: CloudOptions) -> tuple[int, int]:
    """(uid, gid) of the control process: its own unprivileged id under root, else the caller's."""
    if os.geteuid() == 0 and not in_user_namespace():
        return options.run_as_uid, options.run_as_uid
    return os.geteuid(), os.getegid()


def guests_of(options: CloudOptions) -> tuple[int, int] | None:
    """(uid, gid) that guests run as: never that of the control process. None where ids cannot be changed."""
    if os.geteuid() == 0 and not in_user_namespace():
        return options.run_as_uid + 1, options.run_as_uid + 1
    return None


def in_user_namespace() -> bool:
    """Root here may be an ordinary user outside: then only one id is mapped."""
    first = Path("/proc/self/uid_map").read_text().split()
    return first[:3] != ["0", "0", "4294967295"]


def prepare_directories(paths: Paths, options: CloudOptions) -> None:
    """Make every directory with its owner and mode; existing ones are corrected, contents left alone."""
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o755)
    uid, gid = owner_of(options)
    control = {
        paths.database.parent: 0o700,
        paths.secrets: 0o700,
        paths.fernet_keys: 0o700,
        paths.images: 0o711,
        paths.image_staging: 0o711,
        paths.policy: 0o755,
        paths.run: 0o755,
    }
    agent = {
        paths.volumes: 0o711,
        paths.servers: 0o711,
        paths.image_cache: 0o711,
        paths.network: 0o755,
        paths.logs: 0o755,
    }
    for path, mode in (control | agent).items():
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        path.chmod(mode)
    if os.geteuid() == 0 and (uid, gid) != (0, 0):
        for path in control:
            os.chown(path, uid, gid)


def ensure_passwords(paths: Paths) -> dict[str, str]:
    """Passwords of the first users, made once. Readable by the owner of the state directory only."""
    path = paths.state / "passwords.json"
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    made = {"admin": ids.new_secret(), "demo": ids.new_secret()}
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(made, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.rename(path)
    return made
