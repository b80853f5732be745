# SPDX-License-Identifier: Apache-2.0
"""The config drive: an ISO 9660 file with the label config-2, made anew only when its contents change."""

import base64
import binascii
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

import msgspec

from altostratus.contracts.hypervisor import ConfigDriveSpec, HypervisorError


def content_hash(spec: ConfigDriveSpec) -> str:
    return hashlib.sha256(msgspec.json.encode(spec.files, order="sorted")).hexdigest()


def build_config_drive(spec: ConfigDriveSpec, target: Path, iso_tool: tuple[str, ...] | None) -> None:
    """Write the ISO file. Raises HypervisorError (final) for impossible contents."""
    if iso_tool is None:
        raise HypervisorError(
            "A config drive needs genisoimage or xorriso on the host. Install the package genisoimage, "
            "or create the server without a config drive."
        )
    temporary = target.with_suffix(".part")
    with tempfile.TemporaryDirectory(prefix="config-", dir=target.parent) as folder:
        for name, content in spec.files.items():
            _write(Path(folder), name, content)
        options = ["-quiet", "-o", os.fspath(temporary), "-V", "config-2", "-J", "-R", "-input-charset", "utf-8"]
        if "xorriso" in iso_tool[0]:
            options = ["-o", os.fspath(temporary), "-V", "config-2", "-J", "-R"]
        done = subprocess.run(
            [*iso_tool, *options, folder], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        temporary.unlink(missing_ok=True)
        raise HypervisorError(f"The config drive could not be written: {done.stderr.strip()[-300:]}")
    temporary.replace(target)


def _write(folder: Path, name: str, content: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise HypervisorError(f"The config drive cannot hold a file called {name!r}.", final=True)
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HypervisorError(f"File {name!r} of the config drive is not valid base64.", final=True) from error
    target = folder.joinpath(*path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
