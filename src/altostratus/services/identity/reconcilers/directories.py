# SPDX-License-Identifier: Apache-2.0
"""Looks at the users of directories who have tokens, and forgets at last who has been gone for long."""

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory.looking import refresh_watched
from altostratus.services.identity.logic import mirror, people
from altostratus.services.identity.models import IdMapping

_MOST_AT_ONCE = 200
_DAY_S = 86_400


def forget_gone(cloud: Cloud) -> None:
    """With everything that belongs to them: roles, credentials, trusts."""
    mapping = table_of(IdMapping)
    long_ago = clock.after(-cloud[IdentityOptions].directory_forget_days * _DAY_S)
    with cloud.db.write() as tx:
        gone = tx.rows(select(mapping).where(mapping.c.gone_at < long_ago).limit(_MOST_AT_ONCE))
        for row in gone:
            (people.delete_user if row.kind == "user" else people.delete_group)(tx, cloud, row.public_id)
        mirror.forget(tx, [row.public_id for row in gone])


REFRESH_DIRECTORY_USERS = Reconciler("identity.refresh_directory_users", every_s=15, run=refresh_watched)
FORGET_DIRECTORY_USERS = Reconciler("identity.forget_directory_users", every_s=3600, run=forget_gone)
