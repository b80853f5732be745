# SPDX-License-Identifier: Apache-2.0
"""Storage policies by their names: chosen when a container is made, for good."""

from typing import Any

from altostratus.contracts.object_store import FIRST_POLICY, StoragePolicies, StoragePolicy
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.resource.call import Call

_HEADER = "X-STORAGE-POLICY"


def policies_of(cloud: Cloud) -> tuple[StoragePolicy, ...]:
    if not cloud.has_part(StoragePolicies):
        return (FIRST_POLICY,)
    return cloud.part(StoragePolicies).policies()  # type: ignore[type-abstract]


def default_policy(cloud: Cloud) -> int:
    """The index of the policy of containers that do not say which."""
    return next(policy.index for policy in policies_of(cloud) if policy.default)


def names_by_index(cloud: Cloud) -> dict[int, str]:
    return {policy.index: policy.name for policy in policies_of(cloud)}


def policy_for(call: Call, container: Row[Any] | None) -> int:
    """The index for a container that is put. Raises BadRequest for no such policy, Conflict for another one."""
    name = call.headers.get(_HEADER)
    if not name:
        return default_policy(call.cloud) if container is None else int(container.policy)
    found = next((one for one in policies_of(call.cloud) if name.lower() in map(str.lower, one.names)), None)
    if found is None:
        known = ", ".join(policy.name for policy in policies_of(call.cloud) if not policy.deprecated)
        raise BadRequest(f"Invalid X-Storage-Policy {name[:100]!r}. There are: {known}.")
    if found.deprecated:
        raise BadRequest(f"Storage Policy {found.name!r} is deprecated: it takes no containers any longer.")
    if container is not None and found.index != container.policy:
        present = names_by_index(call.cloud)[container.policy]
        raise Conflict(
            f"The container has the storage policy {present} for good. Make another container with {found.name}, and"
            " copy the objects there."
        )
    return found.index


def shown(policy: StoragePolicy) -> dict[str, Any]:
    """As `/info` tells it."""
    told: dict[str, Any] = {"name": policy.name, "aliases": ", ".join(policy.names)}
    if policy.default:
        told["default"] = True
    if policy.deprecated:
        told["deprecated"] = True
    return told
