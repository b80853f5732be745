# SPDX-License-Identifier: Apache-2.0
"""Storage policies: several stores as one, and the list of them."""

import functools
import io

import pytest

from altostratus.contracts.object_store import FIRST_POLICY, ObjectStoreError
from altostratus.drivers.object_store import policies
from altostratus.drivers.object_store.embedded import EmbeddedStore
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.drivers.object_store.policies import PolicyError, PolicyStores
from altostratus.testing.object_store_conformance import ObjectStoreConformance

BOTH = policies.added((FIRST_POLICY,), "gold")


class TestOneOfSeveral(ObjectStoreConformance):
    """The whole behaves as a store, whichever of its stores is written to."""

    @pytest.fixture(params=[0, 1])
    def store(self, request, tmp_path, monkeypatch):
        stores = PolicyStores(tmp_path / "policies.json", lambda index: EmbeddedStore(tmp_path / f"ring{index}"))
        stores.alter(lambda _: BOTH)
        monkeypatch.setattr(stores, "write", functools.partial(stores.write_to, request.param))
        return stores


@pytest.fixture
def stores(tmp_path):
    return PolicyStores(tmp_path / "policies.json", lambda _index: FakeObjectStore())


def test_blobs_lie_where_their_policy_says(stores):
    stores.alter(lambda before: policies.added(before, "gold"))
    plain, gold = stores.write(io.BytesIO(b"plain")), stores.write_to(1, io.BytesIO(b"gold"))
    assert list(stores.store(0).blob_ids()) == [plain.id]
    assert gold.id == f"1:{next(stores.store(1).blob_ids())}"
    assert set(stores.blob_ids()) == set(stores.pending()) == {plain.id, gold.id}
    assert b"".join(stores.read(gold.id, 1, 2)) == b"ol"


def test_no_such_policy(stores):
    for use in (
        lambda: stores.write_to(1, io.BytesIO(b"x")),
        lambda: stores.read("1:abc"),
        lambda: stores.exists("7:"),
    ):
        with pytest.raises(ObjectStoreError) as refused:
            use()
        assert refused.value.reason == "broken"


def test_a_changed_list_holds_at_once(stores, tmp_path):
    elsewhere = PolicyStores(tmp_path / "policies.json", lambda _index: FakeObjectStore())
    assert elsewhere.policies() == (FIRST_POLICY,)
    stores.alter(lambda before: policies.with_default(policies.added(before, "gold"), "GOLD"))
    assert [(one.name, one.default) for one in elsewhere.policies()] == [("Policy-0", False), ("gold", True)]


def test_names():
    found = policies.with_alias(policies.renamed(BOTH, "gold", "Safe"), "safe", "best")
    assert found[1].names == ("Safe", "gold", "best")
    assert policies.get(found, "BEST") == policies.get(found, "gold") == found[1]
    assert policies.renamed(found, "Safe", "gold")[1].names == ("gold", "best", "Safe")
    for name in ("gold", "SAFE", "policy-0", "", "a b", "ü", "x" * 65):
        with pytest.raises(PolicyError):
            policies.added(found, name)
        with pytest.raises(PolicyError):
            policies.with_alias(found, "Safe", name)
    with pytest.raises(PolicyError, match="There are: Policy-0, gold"):
        policies.get(BOTH, "silver")


def test_the_default_is_offered():
    with pytest.raises(PolicyError, match="default"):
        policies.with_deprecated(BOTH, "Policy-0", True)
    old = policies.with_deprecated(BOTH, "gold", True)
    with pytest.raises(PolicyError, match="deprecated"):
        policies.with_default(old, "gold")
    assert policies.with_default(policies.with_deprecated(old, "gold", False), "gold")[1].default


def test_a_broken_list_is_told(stores, tmp_path):
    (tmp_path / "policies.json").write_text("[{}]")
    with pytest.raises(PolicyError, match="cannot be read"):
        stores.policies()
