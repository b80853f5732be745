# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection that `app.migrate` hands over."""

from alembic import context

from altostratus.kernel.db import Model

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Model.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
