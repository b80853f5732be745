# SPDX-License-Identifier: Apache-2.0
"""With very many users, projects and assignments the common requests still find their rows by an index."""

import re

import pytest
from sqlalchemy import event

from tests.services.identity.conftest import BASE

LARGE = ("users", "projects", "role_assignments", "identity_groups")


@pytest.fixture
def scanned(cloud):
    """`scanned(path)`: which of the large tables a GET reads from end to end."""
    statements = []
    engine = cloud.cloud.db.engine
    event.listen(engine, "before_cursor_execute", lambda *seen: statements.append((seen[2], seen[3])))

    def ask(path):
        statements.clear()
        answer = cloud.admin.get(f"{BASE}/{path}")
        assert answer.status == 200, answer.text
        seen = [one for one in statements if one[0].lstrip().startswith(("SELECT", "WITH"))]
        with engine.connect() as conn:
            plans = [
                row[3] for text, values in seen for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
            ]
        found = (re.match(r"SCAN (\w+)", plan) for plan in plans)
        return {one[1] for one in found if one and one[1] in LARGE}

    return ask


@pytest.mark.parametrize(
    "path",
    [
        "users?name=demo",
        "users?domain_id=default&limit=5",
        "projects?name=demo",
        "projects?domain_id=default&limit=5",
        "groups?name=g",
        "role_assignments?user.id={user}&include_names",
        "role_assignments?user.id={user}&effective",
        "role_assignments?scope.project.id={project}",
        "role_assignments?scope.project.id={project}&effective",
        "role_assignments?scope.project.id={project}&effective&include_subtree",
        "users/{user}/projects",
    ],
)
def test_no_large_table_is_read_whole(cloud, scanned, path):
    user = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
    project = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    assert scanned(path.format(user=user, project=project)) == set()


def test_a_list_without_filters_is(scanned):
    """The other tests would see it."""
    assert scanned("role_assignments") == {"role_assignments"}
