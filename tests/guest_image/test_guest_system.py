# SPDX-License-Identifier: Apache-2.0
"""The mini image, running: boot, keys, passwords, metadata, user data, hot-plug, reboot, power button."""

import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from altostratus.guest_image import MiniImage
from tests.guest_image.guest import Guest, lacks, make_drive, make_key

pytestmark = [pytest.mark.system, pytest.mark.skipif(lacks() is not None, reason=str(lacks()))]

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
    ssh_import_id:
      - lp:someone
    lock_passwd: false
    passwd: $6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1
  - name: barfoo
    gecos: Bar B. Foo
    sudo: ALL=(ALL) NOPASSWD:ALL
    groups: users, admin
    lock_passwd: true
    ssh_authorized_keys:
      - KEY
  - name: cloudy
    gecos: Magic Cloud App Daemon User
    inactive: '5'
    system: true
  - name: fizzbuzz
    shell: /bin/bash
    sudo: False
    ssh_authorized_keys:
      - KEY
  - snapuser: joe@joeuser.io
  - name: nosshlogins
    ssh_redirect_user: true
hostname: renamed
write_files:
  - path: /etc/greeting
    permissions: '0600'
    content: |
      hello
        world
runcmd:
  - [sh, -c, "echo one > /srv/one"]
  - echo two > /srv/two
"""


def test_config_drive_and_a_day_in_the_life(
    mini_image: MiniImage, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    keys = {kind: make_key(tmp_path / kind, kind) for kind in ("ed25519", "ecdsa", "rsa")}
    ed25519 = tmp_path / "ed25519"
    meta = {
        "uuid": "11111111-2222-4333-8444-555555555555",
        "hostname": "guest-1.novalocal",
        "public_keys": keys,
        "admin_pass": "Root'sPass1",
    }
    drive = make_drive(tmp_path / "drive", meta, CLOUD_CONFIG.replace("KEY", keys["ed25519"].strip()))
    with Guest(mini_image.path, tmp_path, drive=drive) as guest:
        record_property("ssh_ready_s", guest.wait_for("ssh ready"))
        for kind in keys:
            assert guest.ssh("id -un", key=tmp_path / kind) == "cirros\n"
        assert guest.ssh("id -u", user="root", key=ed25519) == "0\n"
        record_property("login_prompt_s", guest.wait_for("login: "))
        assert "login as 'cirros' user. default password: 'gocubsgo'" in guest.console
        assert guest.ssh("sudo id -u; hostname", password="gocubsgo") == "0\nrenamed\n"
        assert guest.ssh("id -u", user="root", password="Root'sPass1".replace("'", "'\\''")) == "0\n"
        with pytest.raises(subprocess.CalledProcessError):
            guest.ssh("true", password="wrong")
        assert "uid=1000(cirros)" in guest.serial_login("cirros", "gocubsgo", "id")
        _check_users(guest, ed25519)
        _check_tools(guest, ed25519)
        _check_hotplug(guest, ed25519)
        _check_reboot(guest, ed25519)
        guest.qmp("system_powerdown")
        assert guest.wait_end() == 0


def _check_users(guest: Guest, key: Path) -> None:
    run = f"{guest.ssh('getent passwd foobar; getent group ubuntu; id barfoo', key=key)}"
    assert "foobar:x:1001:1003:Foo B. Bar:/home/foobar:/bin/sh\n" in run
    assert "ubuntu:x:1001:root,sys\n" in run
    assert "27(sudo)" in run
    assert guest.ssh("sudo id -u", user="barfoo", key=key) == "0\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        guest.ssh("sudo id -u", user="fizzbuzz", key=key)
    assert "not in the group sudo" in caught.value.stderr
    with pytest.raises(subprocess.CalledProcessError):
        guest.ssh("/usr/lib/guest/as-root --reuid=0 id", user="fizzbuzz", key=key)
    assert guest.ssh("id -un", user="foobar", password="secret") == "foobar\n"
    assert guest.ssh("sudo cat /etc/greeting /srv/one /srv/two", key=key) == "hello\n  world\none\ntwo\n"
    assert "22889" in guest.ssh("sudo grep ^foobar: /etc/shadow", key=key)


def _check_tools(guest: Guest, key: Path) -> None:
    """What Tempest's remote client relies on, with its prologue."""
    prologue = "set -eu -o pipefail; PATH=$PATH:/sbin; "
    for command in (
        "ping -c1 -w5 -s56 127.0.0.1",
        "ping6 -c1 -w5 ::1",
        "sudo /sbin/modprobe 8021q; /sbin/lsmod | grep 8021q",
        "sudo /bin/ip link add link eth0 name eth0.5 type vlan id 5; sudo ip -d link show eth0.5 | grep 'id 5'",
        "sudo mount $(blkid -L config-2 -o device) /mnt; ls /mnt/openstack/latest/meta_data.json; sudo umount /mnt",
        "cat /var/run/udhcpc.eth0.pid | xargs sudo /bin/kill -USR1; grep nameserver /etc/resolv.conf",
        "lsblk -lb --nodeps | grep disk",
        "free -m | grep Mem; df -h /; ip -o addr; ip -s link; ps -ef | grep dropbear | grep -v grep",
        'sudo sh -c "echo words for the console >/dev/console"',
        "! nc -z -w 2 127.0.0.1 9; nc -z -w 2 127.0.0.1 22",
        "sudo -u foobar -H id -un | grep foobar; sudo A=b env | grep A=b",
    ):
        guest.ssh(prologue + command, key=key)
    assert "words for the console" in guest.console
    assert int(guest.ssh("df -m / | awk 'NR == 2 { print $2 }'", key=key)) > 800


def _check_hotplug(guest: Guest, key: Path) -> None:
    disk = guest.work / "extra.raw"
    disk.touch()
    os.truncate(disk, 64 << 20)
    guest.qmp("blockdev-add", driver="raw", **{"node-name": "extra", "file": {"driver": "file", "filename": str(disk)}})
    guest.qmp("device_add", driver="virtio-blk-pci", id="disk1", drive="extra", serial="volume-1", bus="spare0")
    guest.wait_until(lambda: guest.ssh("ls /dev/vdb || true", key=key) != "", "/dev/vdb")
    for kind in ("ext4", "ext3", "vfat"):
        make = f"mke2fs -q -F -t {kind}" if kind != "vfat" else "mkdosfs"
        guest.ssh(f"sudo /usr/sbin/{make} /dev/vdb && sudo mount /dev/vdb /mnt", key=key)
        guest.ssh("sudo sh -c 'date > /mnt/timestamp; sync' && sudo umount /mnt", key=key)
        assert guest.ssh("sudo mount /dev/vdb /mnt && cat /mnt/timestamp && sudo umount /mnt", key=key)
    assert guest.ssh("readlink -f /dev/disk/by-id/virtio-volume-1", key=key) == "/dev/vdb\n"
    guest.qmp("device_del", id="disk1")
    guest.wait_until(lambda: guest.ssh("ls /dev/vdb 2>/dev/null || true", key=key) == "", "end of /dev/vdb")
    guest.qmp("netdev_add", type="user", id="net1", net="10.9.0.0/24")
    guest.qmp("device_add", driver="virtio-net-pci", id="nic1", netdev="net1", mac="52:54:00:00:00:02", bus="spare1")
    guest.wait_until(lambda: guest.ssh("ls -d /sys/class/net/eth1 || true", key=key) != "", "eth1")
    assert "10.9.0.15/24" in guest.ssh("sudo cirros-dhcpc up eth1 && ip -4 -o addr show eth1", key=key)
    assert "dev eth0" in guest.ssh("ip route get 8.8.8.8 | head -n 1; ip route", key=key).splitlines()[0]
    guest.ssh("sudo cirros-dhcpc down eth1", key=key)


def _check_reboot(guest: Guest, key: Path) -> None:
    host_key = guest.ssh("sudo dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key", key=key)
    with pytest.raises(subprocess.CalledProcessError):
        guest.ssh("sudo rm /srv/one; sudo reboot; sleep 30", key=key)
    guest.wait_until(lambda: guest.console.count("boot complete") == 2, "second boot", 120)
    assert "not the first boot" in guest.console
    assert guest.ssh("hostname; sudo ls /srv", key=key) == "renamed\ntwo\n"
    assert guest.ssh("sudo dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key", key=key) == host_key
    assert guest.ssh("sort /home/cirros/.ssh/authorized_keys | uniq -d", key=key) == ""


@pytest.fixture
def metadata_server(tmp_path: Path) -> Iterator[int]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "web"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_http_metadata_and_script(mini_image: MiniImage, tmp_path: Path, metadata_server: int) -> None:
    key = make_key(tmp_path / "key", "ed25519")
    make_drive(
        tmp_path / "web",
        {"uuid": "1", "hostname": "web-1", "public_keys": {"mine": key}},
        '#!/bin/bash\necho "script as $(id -un) on $(hostname)" | tee /srv/ran >/dev/console\n',
    )
    network = f",net=169.254.0.0/16,guestfwd=tcp:169.254.169.254:80-cmd:busybox nc 127.0.0.1 {metadata_server}"
    with Guest(mini_image.path, tmp_path, network=network) as guest:
        guest.wait_for("boot complete")
        assert "script as root on web-1" in guest.console
        assert "metadata: http" in guest.console
        assert guest.ssh("hostname; sudo cat /srv/ran", key=tmp_path / "key") == "web-1\nscript as root on web-1\n"
        url = "http://169.254.169.254/openstack/latest/meta_data.json"
        assert '"uuid": "1"' in guest.ssh(f"curl -s {url}", key=tmp_path / "key")
        with pytest.raises(subprocess.CalledProcessError) as caught:
            guest.ssh(f"curl -f {url}x", key=tmp_path / "key")
        assert caught.value.returncode == 22
        with pytest.raises(subprocess.CalledProcessError):
            guest.ssh("sudo poweroff; sleep 30", key=tmp_path / "key")
        assert guest.wait_end() == 0


def test_no_metadata_at_all(mini_image: MiniImage, tmp_path: Path) -> None:
    with Guest(mini_image.path, tmp_path, memory_mib=mini_image.min_ram_mib, network=",restrict=on") as guest:
        guest.wait_for("login: ")
        assert "metadata: none" in guest.console
        assert guest.ssh("id -un", password="gocubsgo") == "cirros\n"


@pytest.mark.system_smoke
def test_static_addresses_from_the_config_drive(mini_image: MiniImage, tmp_path: Path) -> None:
    """A subnet without DHCP: slirp's own server is told a range that is not ours."""
    drive = make_drive(tmp_path / "drive", {"uuid": "2", "hostname": "static"})
    (drive / "openstack/latest/network_data.json").write_text(
        '{"links": [{"id": "tap1", "ethernet_mac_address": "52:54:00:00:00:01", "type": "ovs", "mtu": 1450}],'
        ' "networks": [{"id": "network0", "type": "ipv4", "link": "tap1", "ip_address": "10.0.2.77",'
        ' "netmask": "255.255.255.0",'
        ' "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.2.2"}]}],'
        ' "services": [{"type": "dns", "address": "10.0.2.3"}]}'
    )
    with Guest(mini_image.path, tmp_path, drive=drive) as guest:
        guest.wait_for("login: ")
        assert "10.0.2.77/24" in guest.ssh("ip -4 -o addr show eth0", password="gocubsgo")


def test_uefi(mini_image: MiniImage, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    code = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    variables = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
    if not code.exists():
        pytest.skip("OVMF is not installed")
    (tmp_path / "vars").write_bytes(variables.read_bytes())
    firmware = [
        *("-drive", f"if=pflash,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,format=raw,file={tmp_path}/vars"),
    ]
    with Guest(mini_image.path, tmp_path, firmware=firmware, memory_mib=256, network=",restrict=on") as guest:
        record_property("ssh_ready_s", guest.wait_for("ssh ready"))
        assert guest.ssh("ls -d /sys/firmware/efi", password="gocubsgo") == "/sys/firmware/efi\n"
