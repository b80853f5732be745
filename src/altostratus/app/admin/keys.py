# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1/keys`: what tokens and stored secrets are sealed with.

The control process writes the key files itself, so they belong to whoever it runs as.
"""

from dataclasses import asdict

from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import public as identity

_CLOUD_ADMIN = Persona("admin", "rule:context_is_admin", ("system", "project"))


def list_keys(call: Call) -> Reply:
    keys = [asdict(key) for key in identity.list_keys(call.cloud)]
    return Reply(200, {"keys": keys, "secrets_behind": identity.secrets_behind(call.cloud)})


def rotate(call: Call) -> Reply:
    made = identity.add_keys(call.cloud, call.params["what"])
    return Reply(202, {"keys": [asdict(key) for key in made]})


class Keys(Resource, path="/keys"):
    """Keys of tokens and of stored secrets."""

    index = Op("GET", "", "alto:keys:list", _CLOUD_ADMIN, list_keys, tx="none")
    rotate = Op("POST", "/{what}/rotate", "alto:keys:rotate", _CLOUD_ADMIN, rotate, tx="none", status=202)
