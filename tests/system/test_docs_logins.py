# SPDX-License-Identifier: Apache-2.0
"""The commands and options of docs/identity-logins.md, typed into a real cloud."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud

pytestmark = pytest.mark.system_smoke
PAGE = Path(__file__).parents[2] / "docs/identity-logins.md"
JOHN = "openstack user create --password $JOHNS_PASSWORD --ignore-change-password-upon-first-use john"
PASSCODE = """PASSCODE=$(python -c '
import sys
from altostratus.services.identity.logic import passcodes
print(passcodes.passcode(sys.argv[1], passcodes.current_step()))' "$SEED")"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_page_works_as_typed() -> None:
    rules, external = blocks("toml")
    robot, seed, login = blocks("bash")
    prepared = [
        "set -eu",
        'eval "$(alto openrc admin)"',
        "JOHNS_PASSWORD=passw0rd-of-john",
        "ROBOT_PASSWORD=passw0rd-of-a-robot",
        JOHN,
        "openstack role add --user john --project demo member",
    ]
    script = "\n".join([*prepared, robot, seed, PASSCODE, login])
    with PrivateCloud(config=rules + external.removeprefix("[identity]\n")) as cloud:
        path = f"{Path(sys.executable).parent}:{cloud.environment['PATH']}"
        environment = cloud.environment | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'lock_password': True" in done.stdout
    assert re.search(r"project_id\s*\|\s*[0-9a-f]{32}", done.stdout), done.stdout
