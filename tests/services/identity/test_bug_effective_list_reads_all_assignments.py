# SPDX-License-Identifier: Apache-2.0
"""`role_assignments?scope.project.id=...&effective` read every assignment, for groups of directories."""

import pytest
from sqlalchemy import event

from altostratus.kernel import ids
from altostratus.services.identity.models import RoleAssignment
from tests.services.identity.conftest import BASE

MANY = 3_000


@pytest.fixture
def crowded(cloud):
    """Statistics say that there are many assignments, all of users."""
    rows = [
        {
            "actor_kind": "user", "actor_id": ids.new_hex_id(), "target_kind": "project", "target_id": ids.new_hex_id(),
            "role_id": ids.new_hex_id(), "inherited": False,
        }
        for _ in range(MANY)
    ]  # fmt: skip
    with cloud.cloud.db.write() as tx:
        tx.insert_many(RoleAssignment, rows)
        tx.conn.exec_driver_sql("ANALYZE")
    return cloud


def test_the_list_of_a_project_finds_its_rows_by_the_project(crowded):
    project = crowded.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    engine, statements = crowded.cloud.db.engine, []
    event.listen(engine, "before_cursor_execute", lambda *seen: statements.append((seen[2], seen[3])))
    assert crowded.admin.get(f"{BASE}/role_assignments?scope.project.id={project}&effective").status == 200
    with engine.connect() as conn:
        plans = {
            row[3]
            for text, values in list(statements)
            if text.lstrip().startswith(("SELECT", "WITH"))
            for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        }
    steps = {plan for plan in plans if "role_assignments" in plan}
    assert steps
    assert {plan for plan in steps if "target_id=?" not in plan and "actor_id=?" not in plan} == set()
