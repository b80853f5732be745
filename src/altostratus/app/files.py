# SPDX-License-Identifier: Apache-2.0
"""The state directory: what lies where, who owns it, and the secrets made at first start."""

import json
import os
from contextlib import suppress
from pathlib import Path

from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import can_change_ids, control_identity
from altostratus.drivers.object_store.whole_file import sync_directory
from altostratus.kernel import ids
from altostratus.kernel.config import load


def load_options(paths: Paths) -> CloudOptions:
    """Only the `[cloud]` section, without loading any service. Raises ConfigError."""
    return load(paths.config, (CloudOptions,), only=False)[CloudOptions]


def prepare_directories(paths: Paths, options: CloudOptions) -> None:
    """Make every directory with its owner and mode; existing ones are corrected, contents left alone."""
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o755)
    owner = control_identity(options)
    paths.state.chmod(0o755)
    control = {
        paths.database.parent: 0o700,
        paths.secrets: 0o700,
        paths.fernet_keys: 0o700,
        paths.images: 0o711,
        paths.image_staging: 0o711,
        paths.objects: 0o700,
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
    if can_change_ids():
        for path in control:
            _give(path, owner.uid, owner.gid)
    with suppress(PermissionError):  # of the directory above
        sync_directory(str(paths.state))
        sync_directory(str(paths.state.parent))


def _give(folder: Path, uid: int, gid: int) -> None:
    """Change the owner of a folder, and of all below it if it belonged to somebody else."""
    if folder.stat().st_uid == uid:
        return
    os.chown(folder, uid, gid)
    for below in folder.rglob("*"):
        os.lchown(below, uid, gid)


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
