# SPDX-License-Identifier: Apache-2.0
"""No room on the disks of objects or on that of the database: 507, nothing is lost, and it works when there is room."""

import pytest
from sqlalchemy import event

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def container(swift):
    swift("PUT", "c")


def test_disks_of_objects(store, swift):
    swift.put("c/before", b"before")
    store.capacity_bytes = 10
    answer = swift("PUT", "c/o", b"more than ten")
    assert answer.status == 507 and "Delete something, or add a disk" in answer.text
    assert swift("PUT", "c/before", b"another").status == 507
    assert swift("GET", "c/before").content == b"before"
    assert swift.names("c") == ["before"]
    assert swift("DELETE", "c/before").status == 204
    store.capacity_bytes = None
    swift.put("c/o", b"more than ten")


def test_the_disk_of_the_database(cloud, swift):
    db = cloud.cloud.db
    with db.read() as tx:
        pages = tx.conn.exec_driver_sql("PRAGMA page_count").scalar()

    def limit(connection, _record, most):
        connection.execute(f"PRAGMA max_page_count={most}")

    def limited_to(most):
        db.close()
        event.listen(db.engine, "connect", lambda connection, record: limit(connection, record, most))

    limited_to(pages + 2)
    kept: list[str] = []
    put = lambda: swift("PUT", f"c/{len(kept):03}", b"data", X_Object_Meta_Long="x" * 200)  # noqa: E731
    while (answer := put()).status == 201 and len(kept) < 200:
        kept.append(f"{len(kept):03}")
    assert answer.status == 507 and "database" in answer.text
    assert swift.names("c") == kept
    assert all(swift("GET", f"c/{name}").content == b"data" for name in kept)
    limited_to(2**30)
    swift.put("c/again", b"data")
    assert swift("HEAD", "c").headers["x-container-object-count"] == str(len(kept) + 1)
