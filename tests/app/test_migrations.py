# SPDX-License-Identifier: Apache-2.0
"""The history of the database ends at the models, and a start with nothing to do loads no Alembic."""

import sqlite3
import subprocess
import sys

import pytest

from altostratus.app import migrate
from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.db import Db, Model, table_of


def schema_of(path):
    """Everything that SQLite knows of the schema, in an order and spacing of its own."""
    with sqlite3.connect(path) as connection:
        query = "SELECT type, name, sql FROM sqlite_master WHERE name != 'alembic_version'"
        rows = connection.execute(query).fetchall()
        columns = {
            name: sorted(map(str, (row[1:6] for row in connection.execute(f"PRAGMA table_info({name})"))))
            for kind, name, _ in rows
            if kind == "table"
        }
    indexes = sorted(name for kind, name, sql in rows if kind == "index" and not name.startswith("sqlite_"))
    return columns, indexes


def test_the_history_ends_at_the_models(tmp_path):
    assert ALL_SERVICES
    migrate.upgrade(f"sqlite:///{tmp_path}/history.sqlite")
    models = Db(f"sqlite:///{tmp_path}/models.sqlite")
    # other tests declare tables of their own in the same process
    models_of_ours = [one.class_ for one in Model.registry.mappers if one.class_.__module__.startswith("altostratus.")]
    shipped = [table_of(model) for model in models_of_ours]
    Model.metadata.create_all(models.engine, tables=shipped)
    models.close()
    (had, had_indexes), (want, want_indexes) = (
        schema_of(tmp_path / name) for name in ("history.sqlite", "models.sqlite")
    )
    had.pop("alembic_version", None)
    assert sorted(had) == sorted(want), "run: ./dev migration MESSAGE"
    assert {name: had[name] for name in had if had[name] != want[name]} == {}
    assert had_indexes == want_indexes


def test_a_newer_database_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/newer.sqlite"
    migrate.upgrade(url)
    with sqlite3.connect(tmp_path / "newer.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrate.SchemaTooNew, match="newer release"):
        migrate.upgrade(url)


def test_an_ordinary_start_loads_no_alembic(tmp_path):
    url = f"sqlite:///{tmp_path}/ready.sqlite"
    migrate.upgrade(url)
    script = f"import sys; from altostratus.app import migrate; migrate.upgrade({url!r}); "
    script += "sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
