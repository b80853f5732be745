# SPDX-License-Identifier: Apache-2.0
"""`/OS-OAUTH1`: consumers, and how one gets an access token: request, authorization, exchange."""

import hmac
import re
from typing import Any
from urllib.parse import urlencode

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, NotFound, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    Description,
    IdentityResource,
    Links,
    extra_members,
    list_reply,
)
from altostratus.services.identity.api.delegation import demand_own_login
from altostratus.services.identity.api.targets import needed, row_target
from altostratus.services.identity.logic import oauth1
from altostratus.services.identity.logic.login import missing
from altostratus.services.identity.tokens import oauth_signature as signature
from altostratus.services.identity.tokens.attempt import HttpRequest
from altostratus.services.identity.tokens.key_ring import CredentialKeys

_ERRAND = row_target("consumer", models.Consumer)
_FORM = "application/x-www-form-urlencoded"


# consumers


def _extra(call: Call) -> dict[str, Any]:
    """Members of one's own, under names as upstream spells them: without colons and dashes."""
    return {re.sub("[:-]", "_", name): value for name, value in extra_members(call).items()}


def list_consumers(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


def create_consumer(call: Call) -> Reply:
    """The only answer that ever shows the secret."""
    secret = ids.new_hex_id()
    sealed = call.cloud.part(CredentialKeys).seal(secret.encode())
    values = {"description": None, **call.body, "extra": _extra(call), "encrypted_secret": sealed}
    row = oauth1.create_consumer(call.tx, call.cloud, values)
    return Reply(201, {"consumer": call.render([row])[0] | {"secret": secret}})


def update_consumer(call: Call) -> Any:
    row, values, extra = needed(call), dict(call.body), _extra(call)
    if "secret" in extra:
        raise BadRequest("A consumer's secret cannot be changed. Make a new consumer instead.")
    if extra:
        values["extra"] = row.extra | extra
    return oauth1.update_consumer(call.tx, call.cloud, row.id, values)


def delete_consumer(call: Call) -> None:
    oauth1.delete_consumer(call.tx, call.cloud, needed(call).id)


class Consumer(IdentityResource, path="/OS-OAUTH1/consumers", one="consumer", many="consumers"):
    """A program that may ask users for a part of their rights."""

    row = models.Consumer
    id = Id("rs")
    description = Description()
    links = Links("/OS-OAUTH1/consumers")
    index = List("identity:list_consumers", policies.ADMIN_OR_SYSTEM_READER, list_consumers)
    create = Create("identity:create_consumer", policies.ADMIN, create_consumer)
    show = Show("identity:get_consumer", policies.ADMIN_OR_SYSTEM_READER, needed, own_row=False, target=_ERRAND)
    update = Update("identity:update_consumer", policies.ADMIN, update_consumer, method="PATCH", own_row=False,
                    target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_consumer", policies.ADMIN, delete_consumer, own_row=False, target=_ERRAND)


# from the question to the access token; the consumer's signature stands for a token


def _signed(call: Call) -> HttpRequest:
    return HttpRequest("POST", call.url(), call.headers)


def _secret(call: Call, row: Row[Any]) -> str:
    return call.cloud.part(CredentialKeys).unseal(row.encrypted_secret).decode()


def _new_secret(call: Call) -> tuple[str, str]:
    """A secret, and the same sealed."""
    secret = ids.new_hex_id()
    return secret, call.cloud.part(CredentialKeys).seal(secret.encode())


def _token_reply(row: Row[Any], secret: str) -> Reply:
    members = {"oauth_token": row.id, "oauth_token_secret": secret}
    if row.expires_at is not None:
        members["oauth_expires_at"] = clock.iso_micro_z(row.expires_at)
    # colons of a time stand as they are: clients compare the text as upstream sends it
    return Reply(201, urlencode(members, safe=":").encode(), content_type=_FORM, headers={"Cache-Control": "no-store"})


def create_request_token(call: Call) -> Reply:
    request = _signed(call)
    given = signature.read_parameters(request, "oauth_consumer_key")
    project_id = call.headers.get("REQUESTED-PROJECT-ID")
    if not project_id:
        raise missing("Requested-Project-Id", "request")
    with call.cloud.db.read() as tx:
        consumer = tx.find(models.Consumer, given["oauth_consumer_key"])
        places = oauth1.places(tx)
    if consumer is None:
        raise NotFound("Consumer not found. Ask an administrator of the cloud for one.")
    if not signature.is_signed(request, given, [_secret(call, consumer)], places):
        raise Unauthorized("Invalid signature")
    secret, sealed = _new_secret(call)
    with call.cloud.db.write() as tx:
        oauth1.use_nonce(tx, consumer.id, signature.digest_of(given), 2 * signature.CLOCK_SKEW_S)
        row = oauth1.create_request_token(tx, call.cloud, consumer.id, project_id, sealed)
    return _token_reply(row, secret)


def authorize(call: Call) -> Reply:
    demand_own_login(call, "authorize a request token")
    verifier = oauth1.authorize(
        call.tx, call.cloud, call.params["request_token_id"], call.ctx.user_id, call.body["roles"]
    )
    return Reply(200, {"token": {"oauth_verifier": verifier}})


def create_access_token(call: Call) -> Reply:
    request = _signed(call)
    given = signature.read_parameters(request, "oauth_consumer_key", "oauth_token", "oauth_verifier")
    with call.cloud.db.read() as tx:
        asked = oauth1.get_request_token(tx, given["oauth_token"])
        consumer = tx.find(models.Consumer, given["oauth_consumer_key"])
        places = oauth1.places(tx)
    secrets = [_secret(call, row) for row in (consumer, asked) if row is not None]
    _demand_exchange(given, asked, consumer, signature.is_signed(request, given, secrets, places))
    secret, sealed = _new_secret(call)
    with call.cloud.db.write() as tx:
        oauth1.use_nonce(tx, asked.consumer_id, signature.digest_of(given), 2 * signature.CLOCK_SKEW_S)
        if oauth1.get_request_token(tx, asked.id).verifier != asked.verifier:
            raise Unauthorized("The request token was authorized anew. Ask its user for the new verifier.")
        row = oauth1.exchange(tx, call.cloud, asked.id, sealed)
    return _token_reply(row, secret)


def _demand_exchange(given: signature.Parameters, asked: Row[Any], consumer: Row[Any] | None, signed: bool) -> None:
    """Raises Unauthorized unless the consumer that asked has signed, with the verifier that its user was given."""
    if consumer is None:
        raise Unauthorized("Provided consumer does not exist.")
    if consumer.id != asked.consumer_id:
        raise Unauthorized("Provided consumer key does not match stored consumer key.")
    if not signed:
        raise Unauthorized("Invalid signature")
    if asked.verifier is None:
        raise Unauthorized("Request Token does not have an authorizing user id: no user has authorized it yet.")
    if not hmac.compare_digest(asked.verifier.encode(), given["oauth_verifier"].encode()):
        raise Unauthorized("Provided verifier does not match stored verifier")


_ROLES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "roles": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "minLength": 1, "maxLength": 64},
                    "name": {"type": "string", "minLength": 1, "maxLength": 255},
                },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": 64,
        }
    },
    "required": ["roles"],
}


class OAuthExchange(IdentityResource, path="/OS-OAUTH1"):
    """The steps between a consumer's question and its access token."""

    request_token = Op("POST", "/request_token", None, policies.ANYBODY, create_request_token, status=201, tx="none",
                       public=True, stream="in")  # fmt: skip
    authorize = Op("PUT", "/authorize/{request_token_id}", "identity:authorize_request_token",
                   policies.PROJECT_ADMIN, authorize, body=_ROLES)  # fmt: skip
    access_token = Op("POST", "/access_token", None, policies.ANYBODY, create_access_token, status=201, tx="none",
                      public=True, stream="in")  # fmt: skip
