# SPDX-License-Identifier: Apache-2.0
"""Rates of the common requests at real sizes, beside upstream's. See README.md."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from altostratus.testing.private_cloud import PrivateCloud

SERVERS, PORTS, IMAGES, VOLUMES = 100, 200, 100, 100


class Row(NamedTuple):
    """One request. Upstream's rates at 1 and 8 connections, and the least ratio at 8."""

    name: str
    method: str
    path: str
    upstream: tuple[float, float]
    goal: float
    body: Any = None
    headers: dict[str, str] = {}


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def wrk(cloud: PrivateCloud, row: Row, connections: int, seconds: float) -> dict[str, float]:
    """Closed loops with wrk: requests a second, and milliseconds of the median and the 99th percentile."""
    headers = {"X-Auth-Token": cloud.token, "Content-Type": "application/json"} | row.headers
    script = f"wrk.method = {json.dumps(row.method)}\n"
    if row.body is not None:
        script += f"wrk.body = {json.dumps(json.dumps(row.body))}\n"
    try:
        return run_wrk(cloud.url + row.path, script, headers, connections, seconds)
    except RuntimeError as error:
        raise RuntimeError(f"{row.name}: {error}") from None


def run_wrk(url: str, script: str, headers: dict[str, str], connections: int, seconds: float) -> dict[str, float]:
    """`wrk` with a script in Lua; raises RuntimeError if requests were refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        argv = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s", "--latency", "-s", file.name]
        for name, value in headers.items():
            argv += ["-H", f"{name}: {value}"]
        text = subprocess.run([*argv, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text:
        raise RuntimeError(f"refused requests\n{text}")
    found = {name: re.search(pattern, text) for name, pattern in _WRK.items()}
    return {
        "rps": float(found["rps"][1]) if found["rps"] else 0.0,
        "p50_ms": _milliseconds(found["p50"]),
        "p99_ms": _milliseconds(found["p99"]),
    }


_WRK = {"rps": r"Requests/sec:\s+([\d.]+)", "p50": r"50%\s+([\d.]+)(us|ms|s)", "p99": r"99%\s+([\d.]+)(us|ms|s)"}


def _milliseconds(found: re.Match[str] | None) -> float:
    return 0.0 if found is None else float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def fill(cloud: PrivateCloud) -> dict[str, Any]:
    """Real sizes in the project admin; what the rows need to know."""
    shown = cloud.request("POST", "/identity/v3/auth/tokens", cloud.login_body("admin", "admin"), token="")[2]["token"]
    project_id = shown["project"]["id"]
    lift_quotas(cloud, project_id)
    network = cloud.call("POST", "/network/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.128.0.0/14", "name": "bench"}
    cloud.call("POST", "/network/v2.0/subnets", {"subnet": subnet})
    listed = cloud.call("POST", "/network/v2.0/networks", {"network": {"name": "listed"}})["network"]["id"]
    cloud.call("POST", "/network/v2.0/subnets", {"subnet": subnet | {"network_id": listed, "cidr": "10.0.0.0/16"}})
    log(f"making {IMAGES} images, {VOLUMES} volumes, {SERVERS} servers, {PORTS} ports ...")
    image = ""
    for number in range(IMAGES):
        wanted = {"name": f"image-{number}", "disk_format": "raw", "container_format": "bare"}
        image = cloud.call("POST", "/image/v2/images", wanted)["id"]
        cloud.call("PUT", f"/image/v2/images/{image}/file", data=bytes(1024))
    volumes = f"/volume/v3/{project_id}/volumes"
    for number in range(VOLUMES):
        cloud.call("POST", volumes, {"volume": {"name": f"volume-{number}", "size": 1}})
    return {"project_id": project_id, "network": network, "listed": listed, "image": image, "volumes": volumes}


def lift_quotas(cloud: PrivateCloud, project_id: str) -> None:
    no_limit = dict.fromkeys(("instances", "cores", "ram", "key_pairs", "server_groups"), -1)
    cloud.call("PUT", f"/compute/v2.1/os-quota-sets/{project_id}", {"quota_set": no_limit})
    no_limit = dict.fromkeys(("port", "network", "subnet", "security_group", "security_group_rule"), -1)
    cloud.call("PUT", f"/network/v2.0/quotas/{project_id}", {"quota": no_limit})
    no_limit = dict.fromkeys(("volumes", "gigabytes", "snapshots"), -1)
    cloud.call("PUT", f"/volume/v3/{project_id}/os-quota-sets/{project_id}", {"quota_set": no_limit})


def make_servers(cloud: PrivateCloud, known: dict[str, Any], count: int, name: str) -> float:
    """Ask for `count` servers at once; seconds until all are ACTIVE."""
    flavors = cloud.call("GET", "/compute/v2.1/flavors")["flavors"]
    flavor = next(one["id"] for one in flavors if one["name"] == "m1.mini")
    started = time.monotonic()
    for number in range(count):
        wanted = {
            "name": f"{name}-{number}",
            "imageRef": known["image"],
            "flavorRef": flavor,
            "networks": [{"uuid": known["network"]}],
        }
        cloud.call("POST", "/compute/v2.1/servers", {"server": wanted})
    deadline = started + 120
    while time.monotonic() < deadline:
        servers = cloud.call("GET", f"/compute/v2.1/servers/detail?name={name}-")["servers"]
        states = [one["status"] for one in servers]
        if "ERROR" in states:
            raise RuntimeError(next(one.get("fault") for one in servers if one["status"] == "ERROR"))
        if states.count("ACTIVE") == count:
            return time.monotonic() - started
        time.sleep(0.05)
    raise RuntimeError(f"{name}: not all of {count} servers are ACTIVE after 120 s")


def rows_of(cloud: PrivateCloud, known: dict[str, Any]) -> list[Row]:
    port = {"port": {"network_id": known["network"]}}
    token = {"X-Subject-Token": cloud.token}
    return [
        Row("token_issue", "POST", "/identity/v3/auth/tokens", (3.7, 7.1), 5, cloud.login_body("admin", "admin")),
        Row("token_validate", "GET", "/identity/v3/auth/tokens", (106, 246), 20, None, token),
        Row("server_list_detail (100)", "GET", "/compute/v2.1/servers/detail", (1.75, 3.0), 50),
        Row("port_list (200)", "GET", f"/network/v2.0/ports?network_id={known['listed']}", (4.8, 9.3), 50),
        Row("image_list (100)", "GET", "/image/v2/images?limit=100", (17, 29), 20),
        Row("volume_list_detail (100)", "GET", known["volumes"] + "/detail", (17, 40), 20),
        Row("port_create", "POST", "/network/v2.0/ports", (5, 12), 10, port),
    ]


def measure(cloud: PrivateCloud, seconds: float, repeats: int, only: list[str]) -> dict[str, Any]:
    known = fill(cloud)
    alone = make_servers(cloud, known, 1, "alone")
    burst = make_servers(cloud, known, 50, "burst")
    make_servers(cloud, known, SERVERS - 51, "more")
    for _ in range(PORTS):
        cloud.call("POST", "/network/v2.0/ports", {"port": {"network_id": known["listed"]}})
    found: dict[str, Any] = {
        "start_s": cloud.start_s,
        "idle_pss_mib": cloud.memory_mib(),
        "server_alone_s": alone,
        "burst_of_50_s": burst,
        "rows": {},
    }
    for row in rows_of(cloud, known):
        if only and not any(row.name.startswith(name) for name in only):
            continue
        wrk(cloud, row, 4, 1)
        shown: dict[str, Any] = {}
        for connections in (1, 8):
            runs = sorted((wrk(cloud, row, connections, seconds) for _ in range(repeats)), key=lambda one: one["rps"])
            shown[str(connections)] = runs[len(runs) // 2]
        shown["ratio_1"] = shown["1"]["rps"] / row.upstream[0]
        shown["ratio_8"] = shown["8"]["rps"] / row.upstream[1]
        shown |= {"upstream": row.upstream, "goal": row.goal}
        found["rows"][row.name] = shown
        rates = f"{shown['1']['rps']:.0f} / {shown['8']['rps']:.0f}"
        log(f"{row.name}: {rates} a second, {shown['ratio_8']:.0f} times upstream")
    return found


def show(found: dict[str, Any]) -> bool:
    """Print the tables; did every row reach its goal?"""
    table = Table("request", "1 / 8 a second", "p50 / p99 ms at 8", "upstream 1 / 8", "ratio 1 / 8", "goal at 8")
    missed = []
    for name, row in found["rows"].items():
        one, eight, upstream = row["1"], row["8"], row["upstream"]
        if row["ratio_8"] < row["goal"]:
            missed.append(name)
        table.add_row(
            name,
            f"{one['rps']:.0f} / {eight['rps']:.0f}",
            f"{eight['p50_ms']:.1f} / {eight['p99_ms']:.1f}",
            f"{upstream[0]} / {upstream[1]}",
            f"{row['ratio_1']:.0f} / {row['ratio_8']:.0f}",
            f"{row['goal']} {'missed' if name in missed else 'reached'}",
        )
    Console(width=120).print(table)
    memory = found["idle_pss_mib"]
    alone, burst = found["server_alone_s"], found["burst_of_50_s"]
    print(f"alto up: {found['start_s']:.1f} s until APIs and hosts answered (first start: the database is made)")
    print(f"server to ACTIVE, simulated: {alone:.2f} s alone (upstream 1.7), 50 at once {burst:.1f} s (upstream 72)")
    parts = ", ".join(f"{name} {mib:.0f}" for name, mib in memory.items())
    print(f"idle memory (PSS): {parts}; all {sum(memory.values()):.0f} MiB (upstream 2950)")
    return not missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        log("wrk is needed: apt-get install wrk")
        return 2
    with PrivateCloud() as cloud:
        found = measure(cloud, options.duration, options.repeats, [one for one in options.only.split(",") if one])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if show(found) else 1


if __name__ == "__main__":
    sys.exit(main())
