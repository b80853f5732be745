# SPDX-License-Identifier: Apache-2.0
"""One mini image for all tests of this folder; built only if the host has what it takes."""

import shutil
from pathlib import Path

import pytest

from altostratus.cli.image import kernel_directory
from altostratus.guest_image import GuestImageError, MiniImage, build_mini_image


@pytest.fixture(scope="session")
def mini_image(tmp_path_factory: pytest.TempPathFactory) -> MiniImage:
    directory = tmp_path_factory.mktemp("mini")
    try:
        return build_mini_image(str(directory / "mini.qcow2"), kernel_directory())
    except GuestImageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def awk() -> list[str]:
    """The guest's awk."""
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not installed")
    return ["busybox", "awk", "-f"]


@pytest.fixture(scope="session")
def guest_files() -> Path:
    """The text files that go into the guest."""
    return Path(__file__).parents[2] / "src" / "altostratus" / "guest_image" / "files"
