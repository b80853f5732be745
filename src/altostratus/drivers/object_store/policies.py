# SPDX-License-Identifier: Apache-2.0
"""`PolicyStores`: a store of its own for each storage policy, and all of them as one.

A small file lists the policies. The id of a blob begins with the index of its policy, `1:...`; without one it is of
policy 0, as all were before there were others.
"""

import os
import string
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from altostratus.contracts.object_store import (
    FIRST_POLICY,
    Blob,
    ObjectStore,
    ObjectStoreError,
    Readable,
    StoragePolicy,
)
from altostratus.drivers.object_store import whole_file

# names become headers
_LETTERS = frozenset(string.ascii_letters + string.digits + "-")
_LONGEST_NAME = 64
Policies = tuple[StoragePolicy, ...]


class PolicyError(ObjectStoreError):
    """The policies cannot be so; the message says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("broken", message)


class PolicyStores:
    """`open_store(index)` gives the store of a policy; it is asked once for each."""

    def __init__(self, file: Path, open_store: Callable[[int], ObjectStore]) -> None:
        self._file, self._open_store = str(file), open_store
        self._lock = threading.Lock()
        self._stores: dict[int, ObjectStore] = {}
        self._seen: tuple[int, int] | None = None
        self._present: Policies = (FIRST_POLICY,)
        self.name = self.store(0).name

    # policies

    def policies(self) -> Policies:
        """As the file says now; another process may have changed it."""
        try:
            found = os.stat(self._file)
        except FileNotFoundError:
            return self._present
        seen = found.st_mtime_ns, found.st_ino
        if seen != self._seen:
            with open(self._file, "rb") as handle:
                self._present = _load(handle.read())
            self._seen = seen
        return self._present

    def alter(self, change: Callable[[Policies], Policies]) -> Policies:
        """What `change` makes of the present policies. Raises what `change` raises."""
        with whole_file.locked(self._file):
            after = change(self.policies())
            whole_file.replace(self._file, msgspec.json.encode(after))
        return after

    def stores(self) -> list[tuple[StoragePolicy, ObjectStore]]:
        return [(policy, self.store(policy.index)) for policy in self.policies()]

    def store(self, index: int) -> ObjectStore:
        """The store of one policy, which knows blobs by ids without an index."""
        found = self._stores.get(index)
        if found is not None:
            return found
        if all(policy.index != index for policy in self.policies()):
            raise ObjectStoreError("broken", f"There is no storage policy {index} any longer. See: alto ring policies")
        with self._lock:
            if index not in self._stores:
                self._stores[index] = self._open_store(index)
        return self._stores[index]

    # the contract

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        return self.write_to(0, data, expected_size=expected_size, max_bytes=max_bytes)

    def write_to(
        self, policy: int, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None
    ) -> Blob:
        blob = self.store(policy).write(data, expected_size=expected_size, max_bytes=max_bytes)
        return Blob(whole_id(policy, blob.id), blob.size)

    def settle(self, blob_id: str) -> None:
        store, own_id = self._of(blob_id)
        store.settle(own_id)

    def read(self, blob_id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        store, own_id = self._of(blob_id)
        return store.read(own_id, offset, length)

    def delete(self, blob_id: str) -> None:
        store, own_id = self._of(blob_id)
        store.delete(own_id)

    def exists(self, blob_id: str) -> bool:
        store, own_id = self._of(blob_id)
        return store.exists(own_id)

    def age_s(self, blob_id: str) -> float | None:
        store, own_id = self._of(blob_id)
        return store.age_s(own_id)

    def locations(self, blob_id: str) -> list[str]:
        store, own_id = self._of(blob_id)
        return store.locations(own_id)

    def pending(self) -> Iterator[str]:
        for policy, store in self.stores():
            yield from (whole_id(policy.index, own_id) for own_id in store.pending())

    def blob_ids(self) -> Iterator[str]:
        for policy, store in self.stores():
            yield from (whole_id(policy.index, own_id) for own_id in store.blob_ids())

    def _of(self, blob_id: str) -> tuple[ObjectStore, str]:
        index, colon, own_id = blob_id.partition(":")
        return (self.store(int(index)), own_id) if colon else (self._stores[0], blob_id)


def whole_id(index: int, own_id: str) -> str:
    """The id by which rows know a blob of the policy."""
    return f"{index}:{own_id}" if index else own_id


def _load(data: bytes) -> Policies:
    try:
        return msgspec.json.decode(data, type=Policies)
    except msgspec.MsgspecError as error:
        raise PolicyError(f"The file of storage policies cannot be read: {error}") from None


# changes; all raise PolicyError


def added(policies: Policies, name: str) -> Policies:
    _demand_new_name(policies, name)
    return (*policies, StoragePolicy(1 + max(policy.index for policy in policies), name))


def renamed(policies: Policies, name: str, new_name: str) -> Policies:
    """The former name is left as an alias, as scripts know it."""
    found = get(policies, name)
    if new_name in found.aliases:
        others = tuple(alias for alias in found.aliases if alias != new_name)
    else:
        _demand_new_name(policies, new_name)
        others = found.aliases
    return _with(policies, msgspec.structs.replace(found, name=new_name, aliases=(*others, found.name)))


def with_alias(policies: Policies, name: str, alias: str) -> Policies:
    _demand_new_name(policies, alias)
    found = get(policies, name)
    return _with(policies, msgspec.structs.replace(found, aliases=(*found.aliases, alias)))


def with_default(policies: Policies, name: str) -> Policies:
    """Of containers that do not say which; those that are there keep theirs."""
    found = get(policies, name)
    if found.deprecated:
        raise PolicyError(f"{found.name} is deprecated and cannot be the default. First: --no-deprecated")
    return tuple(msgspec.structs.replace(one, default=one.index == found.index) for one in policies)


def with_deprecated(policies: Policies, name: str, deprecated: bool) -> Policies:
    """No new containers; those that are there are used as before."""
    found = get(policies, name)
    if found.default and deprecated:
        raise PolicyError(f"{found.name} is the default. Make another one the default first.")
    return _with(policies, msgspec.structs.replace(found, deprecated=deprecated))


def default(policies: Policies) -> StoragePolicy:
    return next(policy for policy in policies if policy.default)


def is_known(policies: Policies, name: str) -> bool:
    return any(name.lower() == known.lower() for policy in policies for known in policy.names)


def get(policies: Policies, name: str) -> StoragePolicy:
    """By its name or an alias, in letters of any case."""
    for policy in policies:
        if is_known((policy,), name):
            return policy
    known = ", ".join(policy.name for policy in policies)
    raise PolicyError(f"There is no storage policy {name!r}. There are: {known}.")


def _with(policies: Policies, changed: StoragePolicy) -> Policies:
    return tuple(changed if policy.index == changed.index else policy for policy in policies)


def _demand_new_name(policies: Policies, name: str) -> None:
    if not name or len(name) > _LONGEST_NAME or not _LETTERS.issuperset(name):
        raise PolicyError(f"{name!r}: names of policies have letters, digits and hyphens, {_LONGEST_NAME} at most.")
    if is_known(policies, name):
        raise PolicyError(f"There is a storage policy of the name {name} already.")
