# SPDX-License-Identifier: Apache-2.0
"""The identity API's calls about credentials, trusts, OAuth, endpoint filters and policies."""

import base64
import copy
import hashlib
import hmac
import time
from typing import Any

from keystoneclient.contrib.ec2.utils import Ec2Signer
from oauthlib.oauth1 import Client

from conformance.coverage.steps import Call, Memory


def _ec2_request(memory: Memory) -> dict[str, Any]:
    """What an EC2 service asks about: a request that a client signed."""
    params = {
        "Action": "DescribeInstances",
        "AWSAccessKeyId": memory["access"],
        "SignatureMethod": "HmacSHA256",
        "SignatureVersion": "2",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    asked = {"access": memory["access"], "host": "127.0.0.1", "verb": "GET", "path": "/", "params": params}
    signature = Ec2Signer(memory["secret"]).generate(copy.deepcopy(asked))
    return {"credentials": asked | {"signature": signature}}


def _s3_request(memory: Memory) -> dict[str, Any]:
    """What an object store asks about: the text that a client signed, and the signature."""
    text = b"GET\n\n\n\n/bucket/object"
    signature = hmac.new(memory["secret"].encode(), text, hashlib.sha1).digest()
    token = base64.urlsafe_b64encode(text).decode()
    return {
        "credentials": {"access": memory["access"], "token": token, "signature": base64.b64encode(signature).decode()}
    }


_ACCESS = [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]
_APPLICATION = {"name": "backup", "roles": [{"name": "member"}], "access_rules": _ACCESS}
CREDENTIALS = (
    Call("POST /v3/credentials", {"credential": {"type": "cert", "blob": "certificate", "user_id": "{demo}"}},
         "credential_id=credential.id"),
    Call("GET /v3/credentials", query="user_id={demo}"),
    Call("GET /v3/credentials/{credential_id}"),
    Call("PATCH /v3/credentials/{credential_id}", {"credential": {"blob": "new certificate"}}),
    Call("DELETE /v3/credentials/{credential_id}"),
    Call("POST /v3/users/{demo}/credentials/OS-EC2", {"tenant_id": "{demo_project}"},
         "access=credential.access secret=credential.secret", by="demo"),
    Call("POST /v3/ec2tokens", _ec2_request),
    Call("POST /v3/s3tokens", _s3_request),
    Call("GET /v3/users/{demo}/credentials/OS-EC2", by="demo"),
    Call("GET /v3/users/{demo}/credentials/OS-EC2/{access}", by="demo"),
    Call("DELETE /v3/users/{demo}/credentials/OS-EC2/{access}", by="demo"),
    Call("POST /v3/users/{demo}/application_credentials", {"application_credential": _APPLICATION},
         "application_credential_id=application_credential.id"
         " application_credential_secret=application_credential.secret", by="demo"),
    Call("POST /v3/OS-OAUTH2/token", "grant_type=client_credentials&client_id={application_credential_id}"
         "&client_secret={application_credential_secret}", by="",
         headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Call("GET /v3/users/{demo}/application_credentials", by="demo"),
    Call("GET /v3/users/{demo}/application_credentials/{application_credential_id}", by="demo"),
    Call("GET /v3/users/{demo}/access_rules", by="demo", keep="access_rule_id=access_rules.0.id"),
    Call("GET /v3/users/{demo}/access_rules/{access_rule_id}", by="demo"),
    Call("DELETE /v3/users/{demo}/application_credentials/{application_credential_id}", by="demo"),
    Call("DELETE /v3/users/{demo}/access_rules/{access_rule_id}", by="demo"),
)  # fmt: skip

_TRUST = {
    "trustor_user_id": "{demo}",
    "trustee_user_id": "{user_id}",
    "project_id": "{demo_project}",
    "impersonation": True,
    "roles": [{"name": "member"}],
}
TRUSTS = (
    Call("POST /v3/OS-TRUST/trusts", {"trust": _TRUST}, "trust_id=trust.id", by="demo"),
    Call("GET /v3/OS-TRUST/trusts"),
    Call("GET /v3/OS-TRUST/trusts/{trust_id}", by="demo"),
    Call("GET /v3/OS-TRUST/trusts/{trust_id}/roles", by="demo"),
    Call("GET /v3/OS-TRUST/trusts/{trust_id}/roles/{member}", by="demo"),
    Call("HEAD /v3/OS-TRUST/trusts/{trust_id}/roles/{member}", by="demo"),
    Call("DELETE /v3/OS-TRUST/trusts/{trust_id}", by="demo"),
)


def _request_token(memory: Memory, url: str) -> dict[str, str]:
    client = Client(memory["consumer_id"], client_secret=memory["consumer_secret"], callback_uri="oob")
    signed = client.sign(url, "POST", headers={"Requested-Project-Id": memory["admin_project"]})
    return dict(signed[1])


def _access_token(memory: Memory, url: str) -> dict[str, str]:
    client = Client(
        memory["consumer_id"],
        client_secret=memory["consumer_secret"],
        resource_owner_key=memory["request_key"],
        resource_owner_secret=memory["request_secret"],
        verifier=memory["verifier"],
    )
    return dict(client.sign(url, "POST")[1])


_ACCESS_TOKEN = "/v3/users/{admin}/OS-OAUTH1/access_tokens/{access_token_id}"
OAUTH = (
    Call("POST /v3/OS-OAUTH1/consumers", {"consumer": {"description": "a mobile app"}},
         "consumer_id=consumer.id consumer_secret=consumer.secret"),
    Call("GET /v3/OS-OAUTH1/consumers"),
    Call("GET /v3/OS-OAUTH1/consumers/{consumer_id}"),
    Call("PATCH /v3/OS-OAUTH1/consumers/{consumer_id}", {"consumer": {"description": "a web app"}}),
    Call("POST /v3/OS-OAUTH1/request_token", headers=_request_token, by="",
         keep="request_key=oauth_token request_secret=oauth_token_secret"),
    Call("PUT /v3/OS-OAUTH1/authorize/{request_key}", {"roles": [{"name": "admin"}]}, "verifier=token.oauth_verifier",),
    Call("POST /v3/OS-OAUTH1/access_token", headers=_access_token, by="", keep="access_token_id=oauth_token"),
    Call("GET /v3/users/{admin}/OS-OAUTH1/access_tokens"),
    Call(f"GET {_ACCESS_TOKEN}"),
    Call(f"GET {_ACCESS_TOKEN}/roles"),
    Call(f"GET {_ACCESS_TOKEN}/roles/{{admin_role}}"),
    Call(f"DELETE {_ACCESS_TOKEN}"),
    Call("DELETE /v3/OS-OAUTH1/consumers/{consumer_id}"),
)  # fmt: skip

_FILTER = "/v3/OS-EP-FILTER"
_GROUP = {"name": "publics", "filters": {"interface": "public"}}
ENDPOINT_FILTER = (
    Call(f"PUT {_FILTER}/projects/{{project_id}}/endpoints/{{endpoint_id}}"),
    Call(f"HEAD {_FILTER}/projects/{{project_id}}/endpoints/{{endpoint_id}}"),
    Call(f"GET {_FILTER}/projects/{{project_id}}/endpoints/{{endpoint_id}}"),
    Call(f"GET {_FILTER}/projects/{{project_id}}/endpoints"),
    Call(f"GET {_FILTER}/endpoints/{{endpoint_id}}/projects"),
    Call(f"DELETE {_FILTER}/projects/{{project_id}}/endpoints/{{endpoint_id}}"),
    Call(f"POST {_FILTER}/endpoint_groups", {"endpoint_group": _GROUP}, "endpoint_group_id=endpoint_group.id"),
    Call(f"GET {_FILTER}/endpoint_groups"),
    Call(f"GET {_FILTER}/endpoint_groups/{{endpoint_group_id}}"),
    Call(f"HEAD {_FILTER}/endpoint_groups/{{endpoint_group_id}}"),
    Call(f"PATCH {_FILTER}/endpoint_groups/{{endpoint_group_id}}", {"endpoint_group": {"name": "all publics"}}),
    Call(f"GET {_FILTER}/endpoint_groups/{{endpoint_group_id}}/endpoints"),
    Call(f"PUT {_FILTER}/endpoint_groups/{{endpoint_group_id}}/projects/{{project_id}}"),
    Call(f"HEAD {_FILTER}/endpoint_groups/{{endpoint_group_id}}/projects/{{project_id}}"),
    Call(f"GET {_FILTER}/endpoint_groups/{{endpoint_group_id}}/projects/{{project_id}}"),
    Call(f"GET {_FILTER}/endpoint_groups/{{endpoint_group_id}}/projects"),
    Call(f"GET {_FILTER}/projects/{{project_id}}/endpoint_groups"),
    Call(f"DELETE {_FILTER}/endpoint_groups/{{endpoint_group_id}}/projects/{{project_id}}"),
    Call(f"DELETE {_FILTER}/endpoint_groups/{{endpoint_group_id}}"),
)


def _association(place: str) -> tuple[Call, ...]:
    path = f"/v3/policies/{{policy_id}}/OS-ENDPOINT-POLICY/{place}"
    return tuple(Call(f"{method} {path}") for method in ("PUT", "GET", "HEAD", "DELETE"))


_ENDPOINT = "endpoints/{endpoint_id}"
POLICIES = (
    Call("POST /v3/policies", {"policy": {"type": "application/json", "blob": "{}"}}, "policy_id=policy.id"),
    Call("GET /v3/policies"),
    Call("GET /v3/policies/{policy_id}"),
    Call("PATCH /v3/policies/{policy_id}", {"policy": {"type": "text/plain"}}),
    Call(f"PUT /v3/policies/{{policy_id}}/OS-ENDPOINT-POLICY/{_ENDPOINT}"),
    Call("GET /v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints"),
    Call("GET /v3/policies/{policy_id}/OS-ENDPOINT-POLICY/policy"),
    Call("HEAD /v3/policies/{policy_id}/OS-ENDPOINT-POLICY/policy"),
    Call(f"GET /v3/{_ENDPOINT}/OS-ENDPOINT-POLICY/policy"),
    Call(f"HEAD /v3/{_ENDPOINT}/OS-ENDPOINT-POLICY/policy"),
    *_association(_ENDPOINT),
    *_association("services/{service_id}"),
    *_association("services/{service_id}/regions/{region_id}"),
    Call("DELETE /v3/policies/{policy_id}"),
)
