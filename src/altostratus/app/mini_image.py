# SPDX-License-Identifier: Apache-2.0
"""The mini image of this cloud: built once into the state directory."""

import shutil
from pathlib import Path

from altostratus.app.options import Paths
from altostratus.guest_image import build_mini_image

MINI_NAME = "mini"


def mini_image_path(paths: Paths) -> Path:
    return paths.state / "mini" / "mini.qcow2"


def build_if_missing(paths: Paths, kernel_dir: str | None, copy_to: Path | None = None) -> Path:
    """Build the image unless it is there. Raises GuestImageError with a sentence."""
    path = mini_image_path(paths)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        build_mini_image(str(temporary), kernel_dir)
        temporary.rename(path)
    if copy_to is not None and copy_to != path and not copy_to.exists():
        shutil.copyfile(path, copy_to)
    return path
