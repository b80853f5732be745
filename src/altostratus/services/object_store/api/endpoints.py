# SPDX-License-Identifier: Apache-2.0
"""Where data lies, for programs that want to run beside it; as upstream's middleware `list_endpoints` answers.

An object's endpoints are the copies of its own bytes (of a large object: not those of its segments). Accounts and
containers are rows of the database, so theirs is the API. Upstream asks nobody for a token; here only operators are
told
(the policy `swift:list_endpoints`).
"""

from typing import Any
from urllib.parse import quote

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api.visits import Place, finished, place_of, store_of
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import access, containers, objects
from altostratus.services.object_store.logic.contents import own_spans

_RULE = "swift:list_endpoints"
_OPERATOR = Persona("operator", f"role:{access.RESELLER_ADMIN} or rule:context_is_admin")
_RESPONSES = {"v1": 1, "v1.0": 1, "v2": 2, "v2.0": 2}


def show_own(call: Call) -> Reply:
    """Of the account of the project that the token is for."""
    if call.ctx.project_id is None:
        raise BadRequest("Ask with a token of a project, or for /endpoints/v2/ACCOUNT/CONTAINER/OBJECT.")
    return _answer(call, 2, Place(access.account_of(call.ctx.project_id)))


def show_endpoints(call: Call) -> Reply:
    """v1: a list of URLs. v2: `{"endpoints": [...], "headers": {}}`."""
    response = _RESPONSES.get(call.params["response"])
    if response is None:
        raise BadRequest(f"Unsupported version {call.params['response'][:60]!r}: use /endpoints/v1/ or /endpoints/v2/.")
    return _answer(call, response, place_of(call))


def _answer(call: Call, response: int, place: Place) -> Reply:
    found = _endpoints(call, place)
    shown: Any = found if response == 1 else {"endpoints": found, "headers": {}}
    return finished(Reply(200, shown, content_type="application/json"))


def _endpoints(call: Call, place: Place) -> list[str]:
    with call.cloud.db.read() as tx:
        container = containers.find(tx, place.account, place.container) if place.container else None
        if place.container and container is None:
            raise not_found("container", place.container)
        if container is None or not place.name:
            return [call.service_url(quote("/".join(filter(None, (f"/{place.account}", place.container)))))]
        row = objects.find(tx, container.id, place.name)
        if row is None:
            raise not_found("object", place.name)
        spans = own_spans(tx, row)
    return [url for span in spans for url in store_of(call).locations(span.blob_id)]


class OwnEndpoints(Resource, path="!/v1/endpoints"):
    """Where the account of the one who asks lies."""

    show = Op("GET", "", _RULE, _OPERATOR, show_own, tx="none")


class Endpoints(Resource, path="!/endpoints/{response}"):
    """Where an account, a container or an object lies."""

    account = Op("GET", "/{account}", _RULE, _OPERATOR, show_endpoints, tx="none")
    container = Op("GET", "/{account}/{container}", _RULE, _OPERATOR, show_endpoints, tx="none")
    object = Op("GET", "/{account}/{container}/{object:path}", _RULE, _OPERATOR, show_endpoints, tx="none")
