# SPDX-License-Identifier: Apache-2.0
"""A provider of OpenID Connect made with Authlib, as a program: `provider.py PORT`.

It knows the grants that the provider of the package oidc-provider-mock does not: passwords and client credentials. Its
access tokens are JWTs (RFC 9068) for the client `cloud`, and opaque ones, to be introspected, for `opaque`. `POST
/rotate` gives it a new key.
"""

import logging
import sys
import time
from typing import Any

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from joserfc import jwk, jwt

USERS = {
    "jane": {"password": "jane-password", "email": "jane@example.com", "groups": ["devs", "ops"]},
    "joe": {"password": "joe-password", "email": "joe@example.com", "groups": ["guests"]},
}
SECRETS = {"cloud": "cloud-secret", "opaque": "opaque-secret", "other": "other-secret"}
app = flask.Flask(__name__)
keys = [jwk.RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})]
tokens: dict[str, Any] = {}


class Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, client_id: str) -> None:
        self.client_id = client_id

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return ""

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return True

    def check_client_secret(self, client_secret):
        return client_secret == SECRETS[self.client_id]

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type):
        return False

    def check_grant_type(self, grant_type):
        return True


class User:
    def __init__(self, name: str) -> None:
        self.name = name

    def get_user_id(self):
        return self.name


class OpaqueToken(dict[str, Any]):
    def is_expired(self):
        return False

    def is_revoked(self):
        return False


class PasswordGrant(grants.ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def authenticate_user(self, username, password):
        known = USERS.get(username)
        return User(username) if known and known["password"] == password else None


class ClientGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = ("client_secret_basic",)

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def check_permission(self, token, client, request):
        return True

    def introspect_token(self, token):
        return {"active": True, **token}


def signed(claims: dict[str, Any], typ: str) -> str:
    now = int(time.time())
    key = keys[-1]
    header = {"alg": "RS256", "kid": key.kid, "typ": typ}
    return jwt.encode(header, {"iat": now, "exp": now + 300, "iss": issuer(), **claims}, key)


def issuer() -> str:
    return flask.request.host_url.rstrip("/")


def claims_of(name: str) -> dict[str, Any]:
    known = USERS.get(name, {})
    return {"sub": name, **{claim: known[claim] for claim in ("email", "groups") if claim in known}}


def make_token(client, grant_type, user=None, scope=None, **_):
    name = user.name if user is not None else f"service-{client.client_id}"
    claims = {**claims_of(name), "client_id": client.client_id, "aud": client.client_id}
    if client.client_id == "opaque":
        token = f"opaque{len(tokens)}"
        tokens[token] = OpaqueToken({**claims, "exp": int(time.time()) + 300})
    else:
        token = signed(claims, "at+jwt")
    found = {"token_type": "Bearer", "access_token": token, "expires_in": 300}
    if "openid" in (scope or ""):
        found["id_token"] = signed({**claims_of(name), "aud": client.client_id}, "JWT")
    return found


server = AuthorizationServer(
    app,
    query_client=lambda client_id: Client(client_id) if client_id in SECRETS else None,
    save_token=lambda token, request: None,
)
server.register_grant(PasswordGrant)
server.register_grant(ClientGrant)
server.register_endpoint(Introspection)
server.register_token_generator("default", make_token)


@app.get("/.well-known/openid-configuration")
def discovery():
    here = issuer()
    return {
        "issuer": here,
        "authorization_endpoint": f"{here}/authorize",
        "token_endpoint": f"{here}/token",
        "introspection_endpoint": f"{here}/introspect",
        "userinfo_endpoint": f"{here}/userinfo",
        "jwks_uri": f"{here}/jwks",
        "grant_types_supported": ["password", "client_credentials", "authorization_code"],
    }


@app.get("/jwks")
def jwks():
    return {"keys": [key.as_dict(private=False) for key in keys]}


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/rotate")
def rotate():
    keys.append(jwk.RSAKey.generate_key(2048, {"kid": f"key-{len(keys)}", "use": "sig"}))
    return {}


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
