# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/identity-programs.md, typed into a real cloud; and a real death while keys are replaced."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud

PAGE = Path(__file__).parents[2] / "docs/identity-programs.md"
SECRETS = 200


@pytest.fixture(scope="module")
def cloud() -> Iterator[PrivateCloud]:
    with PrivateCloud() as made:
        yield made


def typed(cloud: PrivateCloud, folder: Path, commands: list[str]) -> str:
    script = "\n".join(["set -eu", 'eval "$(alto openrc admin)"', *commands])
    path = f"{Path(sys.executable).parent}:{cloud.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=cloud.environment | {"PATH": path}, cwd=folder, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.system_smoke
def test_the_page_works_as_typed(cloud: PrivateCloud, tmp_path: Path) -> None:
    commands = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(commands) == 6
    said = typed(cloud, tmp_path, commands)
    assert '"token_type":"Bearer"' in said
    assert "| expires" in said and "| project_id" in said  # the token of the access token
    assert re.search(r"stored secrets +│ 2 +│ [0-9T:-]+ +│ in use", said), said


@pytest.mark.system
def test_a_control_process_that_dies_while_secrets_are_sealed_anew(cloud: PrivateCloud, tmp_path: Path) -> None:
    for number in range(SECRETS):
        body = {"credential": {"type": "cert", "blob": f"secret {number}"}}
        cloud.call("POST", "/identity/v3/credentials", body)
    cloud.call("POST", "/alto/v1/keys/credentials/rotate", {})
    deaths = 0
    while deaths < 3:
        time.sleep(2.5)  # into the first pass, which begins two to five seconds after
        os.kill(int(cloud.paths.control_pid.read_text()), signal.SIGKILL)
        deaths += 1
        wait_until(lambda: cloud.call("GET", "/identity/v3/credentials?type=cert"))
    wait_until(lambda: cloud.call("GET", "/alto/v1/keys")["secrets_behind"] == 0)
    shown = cloud.call("GET", "/identity/v3/credentials?type=cert")["credentials"]
    assert sorted(one["blob"] for one in shown) == sorted(f"secret {number}" for number in range(SECRETS))


def wait_until(work) -> None:
    """Something true is answered within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if work():
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError("it did not come in a minute")
