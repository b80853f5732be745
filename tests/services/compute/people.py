# SPDX-License-Identifier: Apache-2.0
"""Short words for what people do with the compute API."""

ROOT = "/compute/v2.1"
LATEST = "2.96"


class Person:
    """A client of one persona that speaks one microversion unless told otherwise."""

    def __init__(self, cloud, token):
        self.cloud, self.client = cloud, cloud.client(token)
        self.project_id, self.user_id = cloud.project_id(), cloud.user_id(token.partition("@")[0])

    def ask(self, method, path, body=None, version=LATEST):
        headers = {"OpenStack-API-Version": f"compute {version}"}
        path = path if path.startswith("/compute") else ROOT + path
        return self.client.request(method, path, body, headers=headers)

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.ask("PUT", path, body, **options)

    def delete(self, path, **options):
        return self.ask("DELETE", path, **options)

    def read(self, path, **options):
        answer = self.get(path, **options)
        assert answer.status == 200, answer.text
        return answer.json

    # other services

    def make_image(self, name="mini", content=b"raw disk", **members):
        body = {"name": name, "disk_format": "raw", "container_format": "bare", **members}
        made = self.client.post("/image/v2/images", body)
        assert made.status == 201, made.text
        image_id = made.json["id"]
        headers = {"Content-Type": "application/octet-stream"}
        sent = self.client.put(f"/image/v2/images/{image_id}/file", content, headers=headers)
        assert sent.status == 204, sent.text
        return image_id

    def make_network(self, name="inside", cidr="10.0.0.0/24"):
        network = self.client.post("/network/v2.0/networks", {"network": {"name": name}}).json["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": cidr}
        made = self.client.post("/network/v2.0/subnets", {"subnet": subnet})
        assert made.status == 201, made.text
        return network["id"]

    def ports_of(self, server_id):
        return self.client.get(f"/network/v2.0/ports?device_id={server_id}").json["ports"]

    def make_volume(self, size=1, **members):
        made = self.client.post(
            f"/volume/v3/{self.client.project_id}/volumes", {"volume": {"size": size, "name": "v", **members}}
        )
        assert made.status == 202, made.text
        self.cloud.settle()
        return made.json["volume"]["id"]

    def volume(self, volume_id):
        answer = self.client.get(f"/volume/v3/{self.client.project_id}/volumes/{volume_id}")
        return answer.json.get("volume")

    # servers

    def try_server(self, image=None, network=None, version=LATEST, hints=None, **members):
        body = {"name": "s", "flavorRef": "0", **members}
        if image is not None:
            body["imageRef"] = image
        if network is not None:
            body.setdefault("networks", [{"uuid": network}] if network != "none" else "none")
        whole = {"server": body}
        if hints:
            whole["os:scheduler_hints"] = hints
        return self.post("/servers", whole, version=version)

    def begin_server(self, image=None, network=None, **members):
        made = self.try_server(image, network, **members)
        assert made.status == 202, made.text
        return made.json["server"]["id"]

    def make_server(self, image=None, network=None, expect="ACTIVE", **members):
        server_id = self.begin_server(image, network, **members)
        self.cloud.settle()
        shown = self.show(server_id)
        assert shown["status"] == expect, shown
        return server_id

    def show(self, server_id, **options):
        return self.read(f"/servers/{server_id}", **options)["server"]

    def act(self, server_id, action, value=None, **options):
        return self.post(f"/servers/{server_id}/action", {action: value}, **options)

    def do(self, server_id, action, value=None, **options):
        answer = self.act(server_id, action, value, **options)
        assert answer.status < 300, answer.text
        self.cloud.settle()
        return answer


def words_of(answer):
    """The sentence of a refusal."""
    (inner,) = answer.json.values()
    return inner["message"]
