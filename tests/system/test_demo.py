# SPDX-License-Identifier: Apache-2.0
"""`alto demo` on a machine: twice, as JSON, down and up again, cleaned, purged, and nothing left."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system.conftest import can_run_guests

pytestmark = pytest.mark.system_smoke


def machine_state():
    """What the cloud must leave as it was: namespaces, links, addresses, rules and mounts outside its own."""
    commands = (
        ("ip", "netns"),
        ("ip", "-o", "link"),
        ("ip", "-o", "addr"),
        ("ip", "route"),
        ("nft", "list", "ruleset"),
    )
    found = {}
    for argv in commands:
        text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        # valid_lft and the like count down by themselves
        found[" ".join(argv)] = [line.split(" valid_lft")[0] for line in text.splitlines()]
    found["mounts"] = sorted(Path("/proc/mounts").read_text().splitlines())
    return found


def processes_of(state: Path):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(state).encode() in path.read_bytes():
                found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200])
        except OSError:
            continue
    return found


def test_the_main_job():
    reason = can_run_guests()
    if reason:
        pytest.skip(reason)
    os.makedirs("/run/netns", exist_ok=True)
    before = machine_state()
    with PrivateCloud(simulated=False) as cloud:
        first = json.loads(cloud.alto("demo", "--json"))
        assert first["error"] is None and first["passed"] == len(first["steps"]) == 15
        second = json.loads(cloud.alto("demo", "--json"))
        assert second["passed"] == 15 and second["made"]["server"] == first["made"]["server"]
        cloud.alto("down")
        assert processes_of(cloud.state) == []
        cloud.alto("up")
        cloud.token = cloud.log_in("demo", "demo")
        deadline = time.monotonic() + 60
        while (shown := cloud.call("GET", f"/compute/v2.1/servers/{first['made']['server']}")["server"])[
            "status"
        ] != "ACTIVE":
            assert time.monotonic() < deadline, shown["status"]
            time.sleep(0.5)
        third = json.loads(cloud.alto("demo", "--json"))
        assert third["passed"] == 15
        cloud.alto("demo", "--clean")
        assert cloud.call("GET", "/compute/v2.1/servers")["servers"] == []
        state = cloud.state
    assert not state.exists()
    assert processes_of(state) == []
    assert machine_state() == before
