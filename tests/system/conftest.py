# SPDX-License-Identifier: Apache-2.0
"""One real cloud for all tests of a run, and the official client beside it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud


def can_run_guests() -> str | None:
    """Why not, or None."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("qemu-system-x86_64", "dnsmasq", "nft") if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


@pytest.fixture(scope="session")
def real_cloud():
    reason = can_run_guests()
    if reason:
        pytest.skip(reason)
    with PrivateCloud(simulated=False) as cloud:
        yield cloud


class OpenStack:
    """The official client as a user types it: `openstack("server", "list")`."""

    def __init__(self, cloud: PrivateCloud, user: str) -> None:
        self._program = Path(sys.executable).parent / "openstack"
        self._environment = cloud.environment | {
            "OS_AUTH_URL": cloud.url + "/identity/v3",
            "OS_USERNAME": user,
            "OS_PASSWORD": cloud.passwords[user],
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
        }

    def run(self, *words: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        argv = [str(self._program), *words]
        return subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def __call__(self, line: str, *more: str) -> str:
        done = self.run(*line.split(), *more)
        assert done.returncode == 0, f"openstack {line}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, line: str, *more: str):
        return json.loads(self(line + " -f json", *more) or "null")


@pytest.fixture(scope="session")
def openstack(real_cloud):
    return OpenStack(real_cloud, "demo")


@pytest.fixture(scope="session")
def openstack_admin(real_cloud):
    return OpenStack(real_cloud, "admin")


@pytest.fixture(scope="session")
def mini_image(real_cloud):
    """The image that `alto up` has built."""
    return real_cloud.state / "mini" / "mini.qcow2"
