# SPDX-License-Identifier: Apache-2.0
"""The power is cut at any point of uploads in parts and of deleting many: see `tests.services.object_store.power`."""

import hashlib
import os
from xml.etree import ElementTree as ET

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from altostratus.services.object_store.logic import multipart
from tests.services.identity.conftest import cheap_hashes
from tests.services.object_store.power import Place, Story, cut_everywhere
from tests.services.object_store.s3.conftest import S3Cloud

HOST = "falconframework.org"
BUCKET = "big"


class Client:
    """Signed requests in this process: a cut ends them."""

    def __init__(self, cloud):
        self._http = cloud.client(None)
        self._credentials = Credentials(*cloud.new_pair(cloud.log_in("demo")))

    def __call__(self, method, path="", body=b"", **headers):
        where = f"/object-store/s3/{BUCKET}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = AWSRequest(method, f"http://{HOST}{where}", data=body, headers={"Host": HOST, **named})
        S3SigV4Auth(self._credentials, "s3", "us-east-1").add_auth(asked)
        signed = dict(asked.headers.items()) | {"Content-Length": str(len(body))}
        return self._http.request(method, where, body, headers=signed)

    def need(self, *words, **headers):
        answer = self(*words, **headers)
        assert answer.status < 300, answer.text
        return answer


def found_in(answer, name):
    return [node.text for node in ET.fromstring(answer.content).iter() if node.tag.rpartition("}")[2] == name]


class Parts(Story):
    """Things: the object, and the parts of the two uploads by their ETags."""

    def __init__(self, client, number):
        super().__init__()
        self.client, self.key, self.uploads = client, f"/{number}", {}

    def run(self):
        one, two, three = (os.urandom(size) for size in (90, 40_000, 7))
        self.begin("upload")
        first = self.put_part("upload", one, ())
        first = self.put_part("upload", two, ())
        second = self.put_part("upload", one, (first,))
        self.step(lambda: self.complete(first, second), object=two + one, upload=None)
        self.step(lambda: self.client.need("PUT", self.key, three), object=three)
        self.begin("given_up")
        self.put_part("given_up", one, ())
        self.step(lambda: self.client.need("DELETE", self.at("given_up")), given_up=None)
        delete = f"<Delete><Object><Key>{self.key[1:]}</Key></Object><Object><Key>none</Key></Object></Delete>"
        self.step(lambda: self.client.need("POST", "?delete", delete.encode()), object=None)

    def clear(self):
        self.client("DELETE", self.key)
        for name in self.uploads:
            self.client("DELETE", self.at(name))

    def at(self, name):
        return f"{self.key}?uploadId={self.uploads[name]}"

    def begin(self, name):
        begun = self.client.need("POST", f"{self.key}?uploads=")
        self.uploads[name] = found_in(begun, "UploadId")[0]
        self.may_be[name] = [()]

    def put_part(self, name, data, before):
        """In the place of the part that had the number after `before`."""
        path = f"{self.key}?partNumber={len(before) + 1}&uploadId={self.uploads[name]}"
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self.step(lambda: self.client.need("PUT", path, data), **{name: (*before, etag)})
        return etag

    def complete(self, *etags):
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        self.client.need("POST", self.at("upload"), body.encode())

    def find(self, thing):
        if thing == "object":
            answer = self.client("GET", self.key)
            return answer.content if answer.status == 200 else None
        answer = self.client("GET", self.at(thing))
        return tuple(found_in(answer, "ETag")) if answer.status == 200 else None


@pytest.mark.parametrize("disks", [1, 3])
def test_parts_survive(tmp_path, monkeypatch, disks):
    cheap_hashes(monkeypatch)
    monkeypatch.setattr(multipart, "LEAST_PART_BYTES", 5)
    with S3Cloud(tmp_path) as cloud:
        place, client = Place(cloud, tmp_path / "disks", disks), Client(cloud)
        client.need("PUT")
        cut_everywhere(place, lambda number: Parts(client, number))
