# SPDX-License-Identifier: Apache-2.0
"""The course's exercise on policy, typed with oslo.policy's generator and the official client; hosts are simulated.

Rows of the requirements: IDN-06, IDN-12, IDN-14, IDN-23, IDN-24.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system.conftest import OpenStack

pytestmark = pytest.mark.system

RULE = '"volume:create": "rule:project_member_or_admin"'
ONLY_ADMIN = '"volume:create": "rule:context_is_admin"'


@pytest.fixture(scope="module")
def etc():
    """Stands for /etc, where upstream's services have their folders. The APIs run as a user of their own."""
    with tempfile.TemporaryDirectory(prefix="alto-etc-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        for name in ("cinder", "keystone"):
            (folder / name).mkdir()
        yield folder


@pytest.fixture(scope="module")
def cloud(etc):
    with PrivateCloud(config=f'[oslo_policy]\npolicy_file = "policy.json"\nconfig_root = "{etc}"\n') as made:
        yield made


@pytest.fixture(scope="module")
def member(cloud):
    return OpenStack(cloud, "demo")


@pytest.fixture(scope="module")
def admin(cloud):
    return OpenStack(cloud, "admin")


def copy(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    target.chmod(0o644)
    time.sleep(1.2)  # files are looked at once a second; nothing has to be restarted


def generator(*words: str) -> str:
    program = Path(sys.executable).parent / "oslopolicy-sample-generator"
    return subprocess.run([str(program), *words], capture_output=True, text=True, check=True).stdout


def test_only_administrators_create_volumes(cloud, member, admin, etc, tmp_path):
    """IDN-23 and IDN-24: generate the policy, change one rule, copy it into place; the same in JSON."""
    member("volume create --size 1 before")
    sample = tmp_path / "policy.yaml"
    generator("--namespace", "cinder", "--output-file", str(sample))
    text = sample.read_text()
    assert f"#{RULE}" in text
    sample.write_text(text.replace(f"#{RULE}", ONLY_ADMIN))
    # policy_file says policy.json: YAML under that name is as good, for JSON is YAML
    copy(sample, etc / "cinder" / "policy.json")
    refused = member.run("volume", "create", "--size", "1", "mine")
    assert refused.returncode != 0
    assert "Policy doesn't allow volume:create to be performed. The role admin would allow it." in refused.stderr
    assert "403" in refused.stderr
    admin("volume create --size 1 theirs")
    (etc / "cinder" / "policy.json").unlink()
    time.sleep(1.2)
    member("volume create --size 1 after")


def test_the_generated_file_in_json(cloud, member, admin, etc, tmp_path):
    """`oslopolicy-sample-generator --format json` is gone upstream; `alto policy sample` still writes it."""
    path = tmp_path / "policy.json"
    cloud.alto("policy", "sample", "--namespace", "cinder", "--format", "json", "--output-file", str(path))
    rules = json.loads(path.read_text())
    rules["volume:create"] = "rule:context_is_admin"
    path.write_text(json.dumps(rules, indent=4))
    copy(path, etc / "cinder" / "policy.json")
    assert member.run("volume", "create", "--size", "1", "mine").returncode != 0
    admin("volume create --size 1 theirs")
    explained = subprocess.run(
        [sys.executable, "-m", "altostratus.cli.main", "explain", "policy", "demo", "volume create", "--json"],
        env=cloud.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert explained.returncode == 4
    found = json.loads(explained.stdout)
    assert found["source"] == str(etc / "cinder" / "policy.json") and found["would_allow"] == ["admin"]
    (etc / "cinder" / "policy.json").unlink()
    time.sleep(1.2)


def test_a_broken_file_changes_nothing_and_is_told(cloud, member, etc, tmp_path):
    path = etc / "cinder" / "policy.json"
    member("volume list")  # the rules of before are the defaults again
    path.write_text('{"volume:create": "rule:context_is_admin",\n  "volume:delete" "role:admin"}\n')
    time.sleep(1.2)
    member("volume create --size 1 still")
    doctor = " ".join(re.sub("[│┃]", " ", cloud.alto("doctor")).split())
    assert "policy files" in doctor and "line 2, column 19" in doctor
    log = (cloud.state / "log" / "control.log").read_text()
    assert f"{path}, line 2, column 19: expected" in log and "The rules of before stay" in log
    path.unlink()
    time.sleep(1.2)
    assert "can be used" in cloud.alto("doctor")


def test_many_domains_by_a_policy_of_identity(cloud, etc):
    """IDN-06: with a file of /etc/keystone users of a domain are listed by its own administrators only."""
    copied = etc / "keystone" / "policy.json"
    copied.write_text(json.dumps({"identity:list_users": "role:admin and domain_id:%(target.domain_id)s"}))
    copied.chmod(0o644)
    time.sleep(1.2)
    with pytest.raises(RuntimeError, match="403"):
        cloud.call("GET", "/identity/v3/users")
    copied.unlink()
    time.sleep(1.2)
    assert cloud.call("GET", "/identity/v3/users")["users"]


def test_classic_roles_are_applied_and_removed(cloud, admin):
    """IDN-14: the five roles exist afterwards, and go again."""
    cloud.alto("policy", "apply", "classic-roles")
    names = {one["Name"] for one in admin.json("role list")}
    assert {"admin", "itsec", "projectmanager", "netadmin", "developer"} <= names
    assert "network.yaml" in cloud.alto("policy", "list")
    assert "role:netadmin" in cloud.alto("policy", "show", "create_floatingip")
    admin("user create --password a-password dora")
    admin("role add --user dora --project demo developer")
    time.sleep(1.2)
    token = cloud.log_in("dora", "demo", "a-password")
    with pytest.raises(RuntimeError, match="netadmin"):
        cloud.call("POST", "/network/v2.0/security-groups", {"security_group": {"name": "g"}}, token=token)
    admin("role remove --user dora --project demo developer")
    cloud.alto("policy", "remove", "classic-roles")
    assert not {"itsec", "developer"} & {one["Name"] for one in admin.json("role list")}
    assert "none: the defaults stand" in cloud.alto("policy", "list")


def test_quarantine_from_the_command_line(cloud, admin):
    """IDN-15 with a simulated server."""
    flavor = cloud.call("GET", "/compute/v2.1/flavors")["flavors"][0]["id"]
    image = cloud.call("POST", "/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"})
    cloud.request("PUT", f"/image/v2/images/{image['id']}/file", data=b"raw disk")
    body = {"name": "bad", "flavorRef": flavor, "imageRef": image["id"]}
    made = cloud.call("POST", "/compute/v2.1/servers", {"server": body})
    cloud.alto("server", "quarantine", made["server"]["id"], "--reason", "it scans others")
    listed = cloud.alto("server", "quarantine")
    assert made["server"]["id"] in listed and "it scans others" in listed
    assert "alto.server.quarantined" in cloud.alto("trace", made["server"]["id"])
    cloud.alto("server", "quarantine", made["server"]["id"], "--release")
    assert made["server"]["id"] not in cloud.alto("server", "quarantine")
