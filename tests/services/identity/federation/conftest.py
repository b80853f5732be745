# SPDX-License-Identifier: Apache-2.0
"""Real providers of OpenID Connect as processes on loopback, and clouds that know them."""

import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from argon2 import PasswordHasher

from altostratus.kernel import clock
from altostratus.services.identity.federation.config import FederationOptions, OidcClient
from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import BASE, IdentityCloud
from tests.services.identity.federation.scripted import ScriptedProvider

FED = f"{BASE}/OS-FEDERATION"
DASHBOARD = "https://dashboard.example.com/auth/websso/"
RULES = [
    {"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]},
    {
        "local": [{"groups": "{0}", "domain": {"id": "default"}}],
        "remote": [{"type": "HTTP_OIDC_GROUPS", "whitelist": ["devs", "ops"]}],
    },
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: str, port: int) -> Iterator[str]:
    """A provider as a process; its address, once it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            issuer = f"http://127.0.0.1:{port}"
            ends = clock.monotonic() + 30
            while True:
                try:
                    urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=2).read()
                    break
                except OSError:
                    if clock.monotonic() > ends or process.poll() is not None:
                        raise
                    threading.Event().wait(0.05)
            yield issuer
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def authlib_provider() -> Iterator[str]:
    port = free_port()
    program = Path(__file__).with_name("provider.py")
    with running(sys.executable, "-W", "ignore", str(program), str(port), port=port) as issuer:
        yield issuer


@pytest.fixture(scope="session")
def mock_provider() -> Iterator[str]:
    """The one of the package oidc-provider-mock, as it is."""
    port = free_port()
    user = '{"sub": "jane", "email": "jane@example.com", "groups": ["devs", "secret-admins"]}'
    command = (sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--user-claims", user)
    with running(*command, port=port) as issuer:
        yield issuer


class FederatedCloud(IdentityCloud):
    """A cloud with one identity provider, `acme`, that has the protocol `openid`."""

    def set_up(self, rules=None, **idp) -> None:
        self.put("mappings/acme", mapping={"rules": rules or RULES})
        self.put("identity_providers/acme", identity_provider={"enabled": True, **idp})
        self.put("identity_providers/acme/protocols/openid", protocol={"mapping_id": "acme"})

    def put(self, path, **body):
        answer = self.admin.put(f"{FED}/{path}", body)
        assert answer.status == 201, answer.text
        return answer.json

    def set_idp(self, **members) -> None:
        assert self.admin.patch(f"{FED}/identity_providers/acme", {"identity_provider": members}).status == 200

    def bearer(self, token):
        """The answer to a login with a token of the provider."""
        path = f"{FED}/identity_providers/acme/protocols/openid/auth"
        return self.client(None).post(path, headers={"Authorization": f"Bearer {token}"})

    def make_group(self, name, role=None, project=None):
        group = self.make("groups", "group", name=name)
        if role:
            project_id = self.admin.get(f"{BASE}/projects?name={project}").json["projects"][0]["id"]
            path = f"{BASE}/projects/{project_id}/groups/{group['id']}/roles/{self.role_id(role)}"
            assert self.admin.put(path).status == 204
        return group

    @contextmanager
    def served(self) -> Iterator[str]:
        """Over a real socket, for clients that are not ours; the address of v3."""

        class Server(ThreadingMixIn, WSGIServer):
            daemon_threads = True

        class Quiet(WSGIRequestHandler):
            def log_message(self, *_):
                return

        with make_server("127.0.0.1", 0, self.app, Server, Quiet) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}{BASE}"
            server.shutdown()
            thread.join()


@pytest.fixture
def make_cloud(tmp_path, monkeypatch):
    """`make_cloud(issuer, **options of the client)`."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    made = []

    def make(issuer, *, default_authorization_ttl=0, **client):
        oidc = OidcClient(**{"issuer": issuer, "client_id": "cloud", "client_secret": "cloud-secret", **client})
        federation = FederationOptions(
            oidc={"acme": oidc},
            trusted_dashboard=(DASHBOARD,),
            default_authorization_ttl=default_authorization_ttl,
        )
        cloud = FederatedCloud(tmp_path, sections=[federation])
        made.append(cloud)
        return cloud

    yield make
    for cloud in made:
        cloud.__exit__(None, None, None)


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    made = ScriptedProvider()
    yield made
    made.close()
