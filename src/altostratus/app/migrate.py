# SPDX-License-Identifier: Apache-2.0
"""Brings a database to this release's schema, at every start of the control process.

`python -m altostratus.app.migrate new "message"` writes the next step from the difference between the
models and a database that has all steps (developers: `./dev migration`).
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Column, create_engine, inspect, text

import altostratus.migrations
from altostratus.kernel import log
from altostratus.kernel.db import Model

_log = log.get("migrate")
_FOLDER = Path(altostratus.migrations.__file__).parent


class SchemaTooNew(Exception):
    """The database was used by a newer release."""


def head() -> str:
    """The newest revision, read from file names (`0007_words.py`) so that Alembic need not be loaded."""
    names = sorted(path.name for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    return names[-1].split("_")[0] if names else ""


def current(database_url: str) -> str | None:
    """The revision that a database has; None for an empty one."""
    engine = create_engine(database_url)
    try:
        if not inspect(engine).has_table("alembic_version"):
            return None
        with engine.connect() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)
    finally:
        engine.dispose()


def upgrade(database_url: str) -> None:
    """Run what is missing. Raises SchemaTooNew for a database of a newer release."""
    have, want = current(database_url), head()
    if have == want:
        return
    if have is not None and have > want:
        raise SchemaTooNew(
            f"The database has schema {have}, this release knows {want} at most. Start the newer release again."
        )
    _log.info("bringing the database from schema %s to %s", have or "nothing", want)
    from alembic import command  # noqa: PLC0415  (heavy, and not needed at an ordinary start)

    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            command.upgrade(_alembic_config(connection), "head")
    finally:
        engine.dispose()


def _alembic_config(connection: Any) -> Any:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def new_step(message: str) -> None:
    """Write the next file of the history."""
    from alembic import command  # noqa: PLC0415

    from altostratus.app.service_list import ALL_SERVICES  # noqa: PLC0415

    number = f"{int(head() or 0) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/scratch.sqlite"
        if head():
            upgrade(url)
        engine = create_engine(url)
        with engine.begin() as connection:
            config = _alembic_config(connection)
            slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
            config.set_main_option("file_template", f"%%(rev)s_{slug}")
            command.revision(config, message, autogenerate=True, rev_id=number)
        _add_expression_indexes(_FOLDER / "versions" / f"{number}_{slug}.py")
    sys.stdout.write(f"written: {number} for {len(ALL_SERVICES)} services\n")


def _add_expression_indexes(path: Path) -> None:
    """Indexes over expressions, which Alembic cannot compare: each is made by the step that first lacks it."""
    known = "".join(one.read_text() for one in path.parent.glob("[0-9]*.py"))
    lines = []
    for table in Model.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            if f'"{index.name}"' in known or f"'{index.name}'" in known:
                continue
            parts = [
                f'"{part.name}"' if isinstance(part, Column) else f'sa.text("{_sql(part)}")'
                for part in index.expressions
            ]
            lines.append(
                f'    op.create_index("{index.name}", "{table.name}", [{", ".join(parts)}], unique={index.unique})\n'
            )
    if lines:
        path.write_text(path.read_text().rstrip("\n") + "\n" + "".join(lines))


def _sql(expression: Any) -> str:
    text = str(expression.compile(compile_kwargs={"literal_binds": True}))
    # inside an index the table's name is not written
    return re.sub(r"\b\w+\.", "", text)


if __name__ == "__main__":
    new_step(sys.argv[2])
