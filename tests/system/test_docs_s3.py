# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/object-store-s3.md, typed with each client that is installed here."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system import typed_pages
from tests.system.typed_pages import DOCS

PAGE = DOCS / "object-store-s3.md"
BOTO3 = "python3"
# the word that a client's commands begin with -> does the page show what it prints?
CLIENTS = {"aws": False, BOTO3: True, "s3cmd": False, "rclone": False, "restic": False}


def is_installed(client: str) -> bool:
    return importlib.util.find_spec("boto3") is not None if client == BOTO3 else shutil.which(client) is not None


def clients_of(block: str) -> set[str]:
    return {line.split()[0] for line in typed_pages.typed_in(block)} & CLIENTS.keys()


def commands_for(client: str) -> list[str]:
    """What everybody types, and those of this client."""
    wanted = [block for block in typed_pages.blocks(PAGE) if clients_of(block) <= {client}]
    return [line for block in wanted for line in typed_pages.typed_in(block)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[PrivateCloud]:
    with PrivateCloud() as made:
        yield made


def test_every_command_belongs_to_one_client_or_to_all() -> None:
    assert all(len(clients_of(block)) <= 1 for block in typed_pages.blocks(PAGE))
    everybodys = commands_for("nobody")
    assert all(len(commands_for(client)) > len(everybodys) > 4 for client in CLIENTS)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="a cloud is started by root")
@pytest.mark.parametrize("client", CLIENTS)
def test_the_page_works_as_typed(client: str, cloud: PrivateCloud, tmp_path: Path) -> None:
    lines = commands_for(client)
    if not is_installed(client):
        pytest.skip(f"{client} is not installed: {len(lines) - len(commands_for('nobody'))} commands were not typed")
    # without the developer's own settings, which could name another cloud
    own = {name: value for name, value in cloud.environment.items() if not name.startswith(("AWS_", "RCLONE_", "OS_"))}
    said = typed_pages.run(lines, tmp_path, {**own, "HOME": str(tmp_path)})
    assert not CLIENTS[client] or set(typed_pages.shown(PAGE)) <= set(said.splitlines())
