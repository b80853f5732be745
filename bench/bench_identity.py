# SPDX-License-Identifier: Apache-2.0
"""Identity with many users beside identity with few: two clouds, measured in turns. See README.md."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench_api import Row, wrk
from rich.console import Console
from rich.table import Table

from altostratus.app.options import CloudOptions
from altostratus.kernel import clock, ids
from altostratus.kernel.db import Db
from altostratus.services.identity.models import Project, RoleAssignment, User
from altostratus.testing.private_cloud import PrivateCloud

PAGE = 20
BATCH = 10_000
# at one connection of the full size, as a share of the small one
LEAST = {"token_issue": 0.9, "token_rescope": 0.9, "token_validate": 0.9}
LEAST_OF_LISTS = 0.5


class Size(NamedTuple):
    users: int
    projects: int
    assignments: int


Rates = dict[str, dict[str, float]]
Runs = dict[int, list[float]]
SMALL = Size(500, 50, 2_500)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Filler:
    """Writes people straight into the cloud's database."""

    def __init__(self, cloud: PrivateCloud) -> None:
        self.cloud = cloud
        self._db = Db(cloud.paths.database_url(CloudOptions()))
        shown = cloud.call("GET", "/identity/v3/users?name=demo")["users"][0]
        roles = cloud.call("GET", "/identity/v3/roles")["roles"]
        self._roles = [role["id"] for role in roles if role["name"] in ("member", "reader", "manager")]
        with self._db.read() as tx:
            self._hash = tx.get(User, shown["id"]).password_hash
        self.users: list[str] = []
        self.projects: list[str] = []

    def fill(self, size: Size) -> None:
        started = time.monotonic()
        self._insert(User, (self._user(number) for number in range(size.users)))
        self._insert(Project, (self._project(number) for number in range(size.projects)))
        self._insert(RoleAssignment, self._assignments(size))
        with self._db.write() as tx:
            tx.conn.exec_driver_sql("ANALYZE")
        log(f"{size}: filled in {time.monotonic() - started:.0f} s")

    def _user(self, number: int) -> dict[str, Any]:
        self.users.append(ids.new_hex_id())
        return {
            "id": self.users[-1], "domain_id": "default", "name": f"user-{number}", "enabled": True, "options": {},
            "extra": {}, "created_at": clock.now(), "tokens_from": "", "password_hash": self._hash,
        }  # fmt: skip

    def _project(self, number: int) -> dict[str, Any]:
        self.projects.append(ids.new_hex_id())
        return {
            "id": self.projects[-1], "domain_id": "default", "parent_id": "default", "name": f"project-{number}",
            "enabled": True, "is_domain": False, "description": "", "options": {}, "extra": {}, "tokens_from": "",
        }  # fmt: skip

    def _assignments(self, size: Size) -> Iterator[dict[str, Any]]:
        """The same number for each user, in projects that lie far apart."""
        each = size.assignments // size.users
        stride = max(1, size.projects // each)
        for number in range(size.users):
            for turn in range(each):
                yield {
                    "actor_kind": "user", "actor_id": self.users[number], "target_kind": "project",
                    "target_id": self.projects[(number + turn * stride) % size.projects],
                    "role_id": self._roles[turn % len(self._roles)], "inherited": False,
                }  # fmt: skip

    def _insert(self, model: Any, rows: Iterator[dict[str, Any]]) -> None:
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                self._write(model, batch)
                batch = []
        self._write(model, batch)

    def _write(self, model: Any, batch: list[dict[str, Any]]) -> None:
        with self._db.write() as tx:
            tx.insert_many(model, batch)


def rows_of(filler: Filler) -> list[Row]:
    """The requests, about somebody and something in the middle of all."""
    cloud, v3 = filler.cloud, "/identity/v3"
    users, projects = sorted(filler.users), sorted(filler.projects)
    user, project = users[len(users) // 2], projects[len(projects) // 2]
    name = f"user-{filler.users.index(user)}"
    token = {"X-Subject-Token": cloud.token}
    rescope = {"identity": {"methods": ["token"], "token": {"id": cloud.token}}}
    rescope["scope"] = {"project": {"name": "admin", "domain": {"id": "default"}}}
    password = cloud.passwords["demo"]
    login = {"identity": {"methods": ["password"], "password": {"user": {"id": user, "password": password}}}}
    where = cloud.call("GET", f"{v3}/role_assignments?user.id={user}")["role_assignments"][0]["scope"]["project"]["id"]
    login["scope"] = {"project": {"id": where}}
    rows = [
        Row("token_issue", "POST", f"{v3}/auth/tokens", (3.7, 7.1), 0, {"auth": login}),
        Row("token_rescope", "POST", f"{v3}/auth/tokens", (0, 0), 0, {"auth": rescope}),
        Row("token_validate", "GET", f"{v3}/auth/tokens", (106, 246), 0, None, token),
    ]
    for many, known in (("users", users), ("projects", projects)):
        for place, marker in (("first", None), ("middle", known[len(known) // 2]), ("last", known[-PAGE - 1])):
            path = f"{v3}/{many}?limit={PAGE}" + (f"&marker={marker}" if marker else "")
            rows.append(Row(f"{many}, {place} page", "GET", path, (0, 0), 0))
    for title, path in (
        ("users, by name", f"users?name={name}"),
        ("projects, by name", "projects?name=project-7"),
        ("projects of a user", f"users/{user}/projects"),
        ("role_assignments of a user", f"role_assignments?user.id={user}&include_names"),
        ("role_assignments of a project", f"role_assignments?scope.project.id={project}&include_names"),
        ("effective, of a user", f"role_assignments?user.id={user}&effective"),
        ("effective, in a project", f"role_assignments?scope.project.id={project}&effective"),
    ):
        rows.append(Row(title, "GET", f"{v3}/{path}", (0, 0), 0))
    return rows


def measure(small: Filler, large: Filler, seconds: float, repeats: int) -> tuple[Rates, Rates]:
    """Requests a second by row, at 1 and 8 connections: medians, taken in turns so that other load hits both."""
    found: tuple[Rates, Rates] = {}, {}
    for pair in zip(rows_of(small), rows_of(large), strict=True):
        runs: tuple[Runs, Runs] = {1: [], 8: []}, {1: [], 8: []}
        for _ in range(repeats):
            for count in (1, 8):
                for one, row, filler in zip(runs, pair, (small, large), strict=True):
                    one[count].append(wrk(filler.cloud, row, count, seconds)["rps"])
        for rates, one in zip(found, runs, strict=True):
            rates[pair[0].name] = {str(count): median(rps) for count, rps in one.items()}
        log(f"{pair[0].name}: {found[0][pair[0].name]} with few users, {found[1][pair[0].name]} with many")
    return found


def show(small: Rates, large: Rates, size: Size) -> bool:
    """Print the table; does every row keep its rate?"""
    table = Table("request", f"{SMALL.users} users: 1 / 8", f"{size.users} users: 1 / 8", "kept at 1", "upstream 1 / 8")
    upstream = {"token_issue": "3.7 / 7.1", "token_validate": "106 / 246"}
    missed = []
    for name, row in large.items():
        kept = row["1"] / small[name]["1"] if small[name]["1"] else 0.0
        if kept < LEAST.get(name, LEAST_OF_LISTS):
            missed.append(name)
        rates = [f"{one['1']:.0f} / {one['8']:.0f}" for one in (small[name], row)]
        table.add_row(name, *rates, f"{kept:.0%}{' missed' if name in missed else ''}", upstream.get(name, ""))
    Console(width=120).print(table)
    return not missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--projects", type=int, default=0, help="a tenth of the users, if not given")
    parser.add_argument("--assignments", type=int, default=0, help="five for each user, if not given")
    parser.add_argument("--duration", type=float, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        log("wrk is needed: apt-get install wrk")
        return 2
    size = Size(options.users, options.projects or options.users // 10, options.assignments or 5 * options.users)
    with PrivateCloud() as few, PrivateCloud() as many:
        fillers = Filler(few), Filler(many)
        for filler, wanted in zip(fillers, (SMALL, size), strict=True):
            filler.fill(wanted)
        small, large = measure(*fillers, options.duration, options.repeats)
    if options.json:
        options.json.write_text(json.dumps({"size": size, "small": small, "large": large}, indent=1) + "\n")
    return 0 if show(small, large, size) else 1


if __name__ == "__main__":
    sys.exit(main())
