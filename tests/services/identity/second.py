# SPDX-License-Identifier: Apache-2.0
"""A second process on the same database, as far as tokens go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from altostratus.app.assembly import assemble
from altostratus.kernel.config import Settings
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.public import TokenAuthenticator
from altostratus.services.identity.service import SERVICE


@contextmanager
def second_authenticator(directory: Path, **options: Any) -> Iterator[TokenAuthenticator]:
    cloud = assemble(
        (SERVICE,),
        database_url=f"sqlite:///{directory / 'test.sqlite'}",
        settings=Settings([IdentityOptions(**options)]),
    )
    try:
        yield TokenAuthenticator(cloud, directory / "keys")
    finally:
        cloud.db.close()
