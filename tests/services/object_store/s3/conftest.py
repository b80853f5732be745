# SPDX-License-Identifier: Apache-2.0
"""A cloud with real identity and an object store in memory, served on loopback for Amazon's own client."""

import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import boto3
import pytest
from botocore.config import Config

from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.kernel.config import Settings
from altostratus.services.identity import public
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.service import SERVICE as IDENTITY
from altostratus.services.object_store.reconcilers.waste import remove_waste
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud
from tests.services.identity.conftest import cheap_hashes
from tests.services.object_store.counts import demand_sound

PASSWORD = "a-password"


class S3Cloud(TestCloud):
    """`TestCloud` with users, their access keys, and an address."""

    def __init__(self, directory):
        self.store = FakeObjectStore()
        settings = Settings([IdentityOptions(revision_check_s=3600)])
        super().__init__(directory, services=(IDENTITY, SERVICE), settings=settings, prepare=self._prepare)
        self.address = ""
        self.user_ids = {}  # by project

    def _prepare(self, cloud):
        cloud.authenticator = public.TokenAuthenticator(cloud, self.directory / "keys")
        cloud.add_part(ObjectStore, self.store)
        with cloud.db.write() as tx:
            public.bootstrap(cloud, tx, admin_password=PASSWORD, demo_password=PASSWORD, base_url="http://cloud")

    def log_in(self, name):
        """A client with a token of the project of the same name."""
        user = {"name": name, "password": PASSWORD, "domain": {"id": "default"}}
        scope = {"project": {"name": name, "domain": {"id": "default"}}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        answer = self.client(None).post("/identity/v3/auth/tokens", {"auth": auth})
        assert answer.status == 201, answer.text
        client = self.client(answer.headers["x-subject-token"])
        client.project_id = answer.json["token"]["project"]["id"]
        self.user_ids[client.project_id] = answer.json["token"]["user"]["id"]
        return client

    def new_pair(self, client):
        """(access key, secret)"""
        path = f"/identity/v3/users/{self.user_ids[client.project_id]}/credentials/OS-EC2"
        made = client.post(path, {"tenant_id": client.project_id}).json["credential"]
        return made["access"], made["secret"]

    def s3(self, pair, base="/object-store/s3", **config):
        """Amazon's client. Without a pair: nobody."""
        access, secret = pair or ("none", "none")
        s3 = {"addressing_style": "path", **config.pop("s3", {})}
        options = {"retries": {"max_attempts": 0}, "signature_version": "s3v4", "s3": s3, **config}
        return boto3.client(
            "s3", endpoint_url=f"{self.address}{base}", region_name="us-east-1", aws_access_key_id=access,
            aws_secret_access_key=secret, config=Config(**options),
        )  # fmt: skip


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # answers `Expect: 100-continue`

    def get_environ(self):
        env = super().get_environ()
        if self.headers["content-type"] is None:
            env["CONTENT_TYPE"] = ""  # it would guess, and old signatures have it
        return env

    def log_message(self, *_args):
        """Nothing."""


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    cheap_hashes(monkeypatch)
    with S3Cloud(tmp_path) as made:
        server = make_server("127.0.0.1", 0, made.app, _Server, _Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.address = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def owner(cloud):
    """A client of OpenStack's APIs."""
    return cloud.log_in("demo")


@pytest.fixture
def pair(cloud, owner):
    return cloud.new_pair(owner)


@pytest.fixture
def s3(cloud, pair):
    return cloud.s3(pair)


@pytest.fixture
def nothing_left(cloud):
    yield
    remove_waste(cloud.cloud)
    demand_sound(cloud.cloud, cloud.store)
