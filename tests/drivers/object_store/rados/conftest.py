# SPDX-License-Identifier: Apache-2.0
"""One Ceph for all tests of a run; each has a namespace of its own."""

import msgspec
import pytest

from altostratus.drivers.object_store.rados import Connection, RadosStore
from altostratus.kernel import ids
from altostratus.testing.private_ceph import PrivateCeph, load_library, why_not


@pytest.fixture(scope="session")
def ceph(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    load_library()
    with PrivateCeph(tmp_path_factory.mktemp("ceph")) as running:
        yield running


@pytest.fixture
def options(ceph):
    return msgspec.structs.replace(ceph.options, namespace=ids.new_hex_id())


@pytest.fixture
def store(options):
    return RadosStore(Connection(options))
