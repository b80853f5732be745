# SPDX-License-Identifier: Apache-2.0
"""One linear Alembic history for one database."""
