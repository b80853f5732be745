# SPDX-License-Identifier: Apache-2.0
"""The session of a course, typed with the official client against real guests.

Rows of the requirements: IDN-20, IMG-09 to 12, VOL-20 to 23, NET-48 to 50 and 63, CMP-13 to 18, 20, 23,
INJ-01 to 03 and 05. Old spellings are written in their modern form.
"""

import base64
import subprocess
import time

import pytest

pytestmark = pytest.mark.system

CLOUD_CONFIG = """#cloud-config
groups:
  - ubuntu: [root,sys]
  - cloud-users
users:
  - default
  - name: foobar
    gecos: Foo B. Bar
    primary_group: foobar
    groups: users
    selinux_user: staff_u
    expiredate: '2032-09-01'
    ssh_import_id: foobar
    lock_passwd: false
    passwd: $6$j212wezy$7H/1LT4f9/N3wpgNunhsIqtMj62OKiS3nyNwuizouQc3u7MbYCarYeAHWYPYb2FT.lbioDm2RrkJPb9BZMN1O/
  - name: barfoo
    gecos: Bar B. Foo
    sudo: ALL=(ALL) NOPASSWD:ALL
    groups: users
    lock_passwd: true
"""


def wait_for(ask, done, words, timeout_s=180):
    deadline = time.monotonic() + timeout_s
    while True:
        shown = ask()
        if done(shown):
            return shown
        assert time.monotonic() < deadline, f"{words}: {shown}"
        time.sleep(1)


class Guest:
    """A server's shell, by ssh from the world's namespace."""

    def __init__(self, cloud, address, key):
        self._cloud, self._address, self._key = cloud, address, key

    def run(self, command, *, check=True, timeout_s=60):
        tag = self._cloud.paths.tag
        argv = ["ip", "netns", "exec", f"alto-{tag}-world", "ssh", "-i", str(self._key)]
        argv += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        argv += ["-o", "ConnectTimeout=3", "-o", "BatchMode=yes", f"cirros@{self._address}", command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout if check else done

    def wait(self, timeout_s=120):
        wait_for(lambda: self.run("true", check=False), lambda done: done.returncode == 0, "no ssh", timeout_s)


def test_users(openstack_admin):
    """IDN-20; john is shown before he is deleted."""
    openstack_admin("user create --password johnpassword john")
    openstack_admin("user set --password newpassword john")
    assert "john" in openstack_admin("user list")
    assert openstack_admin.json("user show john")["name"] == "john"
    openstack_admin("role add --user john --project demo admin")
    names = openstack_admin.json("role assignment list --names --user john")
    assert names[0]["Role"].startswith("admin")
    openstack_admin("user delete john")
    openstack_admin("service create --name myService --description helloworld myService")
    for interface in ("public", "internal", "admin"):
        openstack_admin(f"endpoint create --region RegionOne myService {interface} http://172.25.0.10:3838")
    assert len(openstack_admin.json("endpoint list --service myService")) == 3
    openstack_admin("service delete myService")


def test_images(openstack, mini_image, tmp_path):
    """IMG-09 to 12; the file's name has a dash that is none."""
    copy = tmp_path / "cirros—disk_x86_64.img"
    copy.write_bytes(mini_image.read_bytes())
    openstack("image create --container-format bare --disk-format qcow2 --file", str(copy), "myimage")
    openstack("image set --min-ram 8 myimage")
    shown = openstack.json("image show myimage")
    assert shown["min_ram"] == 8 and shown["status"] == "active"
    assert "myimage" in openstack("image list")
    saved = tmp_path / "saved"
    openstack("image save myimage --file", str(saved))
    assert saved.read_bytes() == copy.read_bytes()
    openstack("image delete myimage")
    assert "myimage" not in openstack("image list")


def test_a_server_with_everything(real_cloud, openstack, openstack_admin, tmp_path):
    openstack_admin("network create --provider-network-type flat --provider-physical-network public --external public")
    openstack_admin(
        "subnet create --subnet-range 192.168.100.0/24 --gateway 192.168.100.1 --no-dhcp --network public pubsub"
    )
    openstack("network create mynet")
    openstack("subnet create --subnet-range 10.30.0.0/24 --network mynet mysub")
    openstack("router create myrouter")
    openstack("router set --external-gateway public myrouter")
    openstack("router add subnet myrouter mysub")
    openstack("security group rule create --protocol icmp default")
    openstack("security group rule create --protocol tcp --dst-port 22 default")

    key = tmp_path / "mykey.pem"
    key.write_text(openstack("keypair create mykey"))
    key.chmod(0o600)
    openstack_admin("flavor create --ram 128 --disk 1 --vcpus 1 m1.mysmall")
    user_data = tmp_path / "create_user.yaml"
    user_data.write_text(CLOUD_CONFIG)
    network = openstack.json("network show mynet")["id"]
    openstack(
        "server create --image mini --flavor m1.mysmall --security-group default --key-name mykey "
        f"--nic net-id={network} --user-data {user_data} --wait instance1"
    )

    public_ip = openstack.json("floating ip create public")["floating_ip_address"]
    openstack(f"server add floating ip instance1 {public_ip}")
    guest = Guest(real_cloud, public_ip, key)
    guest.wait()

    metadata(guest)
    assert "login:" in wait_for(
        lambda: openstack("console log show instance1"), lambda text: "login:" in text, "no login prompt"
    )
    assert openstack.json("console url show --novnc instance1")["url"].startswith("http")

    volume_session(openstack, guest)

    openstack("server stop instance1")
    wait_for(lambda: openstack.json("server show instance1")["status"], lambda s: s == "SHUTOFF", "stop")
    openstack("server start instance1")
    wait_for(lambda: openstack.json("server show instance1")["status"], lambda s: s == "ACTIVE", "start")
    guest.wait()
    openstack("server reboot --soft --wait instance1")
    guest.wait()
    openstack("server reboot --hard --wait instance1")
    guest.wait()
    actions = {one["Action"] for one in openstack.json("server event list instance1")}
    assert {"create", "stop", "start", "reboot", "attach_volume", "detach_volume"} <= actions

    openstack("security group create closed")
    openstack("server add security group instance1 closed")
    openstack("server remove security group instance1 default")
    wait_for(
        lambda: guest.run("true", check=False).returncode, lambda code: code != 0, "the group still lets ssh in", 30
    )
    openstack("server add security group instance1 default")
    guest.wait(30)

    openstack(f"server remove floating ip instance1 {public_ip}")
    wait_for(lambda: guest.run("true", check=False).returncode, lambda code: code != 0, "the address still answers", 30)
    openstack("server delete --wait instance1")
    openstack(f"floating ip delete {public_ip}")


def metadata(guest):
    """INJ-01 to 03: keys, names, and user data byte for byte."""
    found = guest.run("curl -s http://169.254.169.254/openstack/latest/meta_data.json")
    assert '"name": "instance1"' in found.replace('":"', '": "')
    assert guest.run("curl -s http://169.254.169.254/latest/meta-data/hostname").startswith("instance1")
    assert "public-keys" in guest.run("curl -s http://169.254.169.254/latest/meta-data/")
    sent = guest.run("curl -s http://169.254.169.254/openstack/latest/user_data | base64 | tr -d '\\n'")
    assert base64.b64decode(sent).decode() == CLOUD_CONFIG
    assert guest.run("hostname").strip() == "instance1"
    assert guest.run("getent passwd foobar").startswith("foobar:")
    assert guest.run("getent group cloud-users").startswith("cloud-users:")


def volume_session(openstack, guest):
    """VOL-20 to 23."""
    openstack("volume create --size 1 myvol")
    wait_for(lambda: openstack.json("volume show myvol")["status"], lambda s: s == "available", "volume")
    openstack("server add volume instance1 myvol")
    wait_for(lambda: guest.run("test -b /dev/vdb", check=False).returncode, lambda code: code == 0, "no /dev/vdb", 30)
    guest.run(
        "sudo mkfs.ext3 -q /dev/vdb && sudo mount /dev/vdb /mnt && echo kept | sudo tee /mnt/file && sudo umount /mnt"
    )
    refused = openstack.run("volume", "delete", "myvol")
    assert refused.returncode != 0
    openstack("server remove volume instance1 myvol")
    wait_for(lambda: openstack.json("volume show myvol")["status"], lambda s: s == "available", "detach")
    openstack("volume delete myvol")


def test_a_boot_volume_a_prepared_port_and_a_config_drive(real_cloud, openstack, tmp_path):
    """VOL-21, NET-63, INJ-05."""
    openstack("network create portnet")
    openstack("subnet create --subnet-range 10.40.0.0/24 --network portnet portsub")
    openstack(
        "port create --network portnet --fixed-ip subnet=portsub,ip-address=10.40.0.77 "
        "--mac-address fa:16:3e:aa:bb:cc p1"
    )
    refused = openstack.run("port", "create", "--network", "portnet", "--mac-address", "11:22:33:44:55:66", "p2")
    assert refused.returncode != 0 and "multicast" in refused.stderr
    openstack("volume create --size 1 --image mini bootvol")
    wait_for(lambda: openstack.json("volume show bootvol")["status"], lambda s: s == "available", "boot volume")
    openstack("server create --volume bootvol --flavor m1.mini --port p1 --config-drive true --wait fromvol")
    log = wait_for(
        lambda: openstack("console log show fromvol"), lambda text: "login:" in text, "the volume does not boot"
    )
    assert "fromvol login:" in log
    shown = openstack.json("server show fromvol")
    assert "10.40.0.77" in str(shown["addresses"]) and shown["config_drive"] in (True, "True")
    openstack("server delete --wait fromvol")
    wait_for(lambda: openstack.json("volume show bootvol")["status"], lambda s: s == "available", "volume kept")
    openstack("volume delete bootvol")
