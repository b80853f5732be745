# SPDX-License-Identifier: Apache-2.0
"""Policy documents of endpoints, of services, and of services in regions (`OS-ENDPOINT-POLICY`)."""

from typing import Any

from altostratus.kernel.db import Model
from altostratus.kernel.errors import NotFound
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.catalog import Endpoint
from altostratus.services.identity.api.declaring import IdentityResource, simple_list
from altostratus.services.identity.api.policy_documents import Policy
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import policy_associations
from altostratus.services.identity.logic.changes import announce

_READER, _ADMIN = policies.ADMIN_OR_SYSTEM_READER, policies.ADMIN
_PLACES: tuple[tuple[str, type[Model]], ...] = (
    ("endpoint", models.Endpoint),
    ("service", models.CatalogService),
    ("region", models.Region),
)


def _policy(call: Call) -> Any:
    """The policy document in the path. Raises NotFound."""
    row = call.tx.find(models.PolicyDocument, call.params["policy_id"])
    if row is None:
        raise not_found("policy", call.params["policy_id"])
    return row


def _key(call: Call) -> tuple[str, str, str]:
    """Endpoint, service and region in the path, empty if not there. Raises NotFound for what does not exist."""
    _policy(call)
    for what, model in _PLACES:
        given = call.params.get(f"{what}_id")
        if given is not None and call.tx.find(model, given) is None:
            raise not_found(what, given)
    endpoint, service, region = (call.params.get(f"{what}_id", "") for what, _ in _PLACES)
    return endpoint, service, region


def check_association(call: Call) -> None:
    row = call.tx.find(models.PolicyAssociation, *_key(call))
    if row is None or row.policy_id != call.params["policy_id"]:
        raise NotFound("Could not find policy association: this policy is not associated with what the path names.")


def create_association(call: Call) -> None:
    """A place has one policy: the new one replaces the old."""
    key, policy_id = _key(call), call.params["policy_id"]
    if call.tx.update(models.PolicyAssociation, *key, policy_id=policy_id) == 0:
        endpoint_id, service_id, region_id = key
        call.tx.insert(
            models.PolicyAssociation,
            endpoint_id=endpoint_id, service_id=service_id, region_id=region_id, policy_id=policy_id,
        )  # fmt: skip
    announce(call.tx, call.cloud, "identity.policy.updated", policy_id)


def delete_association(call: Call) -> None:
    """Also succeeds if there is none, as upstream."""
    row = call.tx.find(models.PolicyAssociation, *_key(call))
    if row is not None and row.policy_id == call.params["policy_id"]:
        call.tx.delete(models.PolicyAssociation, row.endpoint_id, row.service_id, row.region_id)
        announce(call.tx, call.cloud, "identity.policy.updated", row.policy_id)


def _associations(kind: str, path: str) -> type[Resource]:
    """Check, put and delete the policy of one kind of place."""
    suffix = f"policy_association_for_{kind}"

    class PolicyAssociation(IdentityResource, path=f"/policies/{{policy_id}}/OS-ENDPOINT-POLICY/{path}"):
        """The policy document of a place."""

        check = Op("GET", "", f"identity:check_{suffix}", _READER, check_association, status=204)
        create = Op("PUT", "", f"identity:create_{suffix}", _ADMIN, create_association, status=204)
        delete = Op("DELETE", "", f"identity:delete_{suffix}", _ADMIN, delete_association, status=204)

    return PolicyAssociation


def list_endpoints(call: Call) -> Reply:
    rows = policy_associations.endpoints_of(call.tx, _policy(call).id)
    return simple_list(call, "endpoints", call.render_as(Endpoint, rows))


def show_policy(call: Call) -> Reply:
    """The policy itself, if it is an endpoint's. Raises NotFound."""
    row = _policy(call)
    if not policy_associations.endpoints_of(call.tx, row.id):
        raise NotFound(f"No endpoint is associated with policy {row.id}. Associate one with it, or with its service.")
    return _reply(call, row)


def show_policy_of_endpoint(call: Call) -> Reply:
    endpoint = call.tx.find(models.Endpoint, call.params["endpoint_id"])
    if endpoint is None:
        raise not_found("endpoint", call.params["endpoint_id"])
    return _reply(call, policy_associations.policy_of(call.tx, endpoint))


def _reply(call: Call, row: Any) -> Reply:
    return Reply(200, {"policy": call.render_as(Policy, [row])[0]})


class EndpointsOfPolicy(IdentityResource, path="/policies/{policy_id}/OS-ENDPOINT-POLICY"):
    """Where a policy document belongs."""

    index = Op("GET", "/endpoints", "identity:list_endpoints_for_policy", _READER, list_endpoints)
    policy = Op("GET", "/policy", "identity:get_policy_for_endpoint", _READER, show_policy)


class PolicyOfEndpoint(IdentityResource, path="/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy"):
    """The policy document of an endpoint."""

    show = Op("GET", "", "identity:get_policy_for_endpoint", _READER, show_policy_of_endpoint)


POLICY_ASSOCIATIONS: tuple[type[Resource], ...] = (
    EndpointsOfPolicy,
    PolicyOfEndpoint,
    _associations("endpoint", "endpoints/{endpoint_id}"),
    _associations("service", "services/{service_id}"),
    _associations("region_and_service", "services/{service_id}/regions/{region_id}"),
)
