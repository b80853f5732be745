# SPDX-License-Identifier: Apache-2.0
"""Building the mini image: kernels, archives, and an image looked at from outside."""

import gzip
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from altostratus.cli.image import kernel_directory
from altostratus.guest_image import GuestImageError, GuestKernel, MiniImage, build_mini_image, cpio, find_kernel
from altostratus.guest_image.kernel import load_modules
from altostratus.guest_image.programs import find_programs

MIB = 1 << 20


def fake_kernel(root: Path, version: str, modules: dict[str, bytes], builtin: str = "", library: str = "lib") -> None:
    (root / "boot").mkdir(parents=True, exist_ok=True)
    (root / "boot" / f"vmlinuz-{version}").write_bytes(b"kernel")
    folder = root / library / "modules" / version
    for name, content in modules.items():
        path = folder / "kernel" / "drivers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "kernel").mkdir(parents=True, exist_ok=True)
    (folder / "modules.builtin").write_text(builtin)


def module(depends: str = "", alias: str = "") -> bytes:
    return b"\x7fELF\0license=GPL\0alias=" + alias.encode() + b"\0depends=" + depends.encode() + b"\0retpoline=Y\0"


VIRTIO = {f"virtio_{name}.ko": module("virtio") for name in ("blk", "net", "pci")} | {"virtio.ko": module()}
ALL_BUILT_IN = "".join(f"kernel/drivers/virtio_{name}.ko\n" for name in ("blk", "net", "pci"))


def test_cloud_kernels_are_preferred_then_new_ones(tmp_path: Path) -> None:
    for version in ("6.1.0-9-amd64", "6.1.0-8-cloud-amd64", "6.1.0-10-cloud-amd64", "5.9.0-1-cloud-amd64"):
        fake_kernel(tmp_path, version, VIRTIO)
    fake_kernel(tmp_path, "7.0.0-1-cloud-amd64", {})
    assert find_kernel(str(tmp_path)).version == "6.1.0-10-cloud-amd64"


def test_drivers_may_be_built_in(tmp_path: Path) -> None:
    fake_kernel(tmp_path, "6.8.0-31-generic", {}, ALL_BUILT_IN, library="usr/lib")
    kernel = find_kernel(str(tmp_path))
    assert kernel.version == "6.8.0-31-generic"
    assert load_modules(kernel, ["virtio_blk", "ext4"]) == []


def test_host_kernel_is_the_last_resort(tmp_path: Path) -> None:
    fake_kernel(tmp_path / "host", "6.1.0-9-amd64", VIRTIO)
    (tmp_path / "empty").mkdir()
    for first in (None, str(tmp_path / "empty"), str(tmp_path / "gone")):
        assert find_kernel(first, host_root=str(tmp_path / "host")).version == "6.1.0-9-amd64"


def test_no_kernel_is_told(tmp_path: Path) -> None:
    fake_kernel(tmp_path, "6.1.0-9-other", {})
    with pytest.raises(GuestImageError, match=r"Install linux-image-cloud-amd64.*6\.1\.0-9-other"):
        find_kernel(str(tmp_path), host_root=str(tmp_path))


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_packed_modules_and_their_dependencies(tmp_path: Path, suffix: str) -> None:
    if suffix == ".zst" and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    plain = {
        "virtio-pci.ko": module("virtio-ring,virtio"),
        "virtio_ring.ko": module("virtio"),
        "virtio.ko": module(),
        "virtio_blk.ko": module("virtio", "virtio:d00000002v*"),
        "virtio_net.ko": module(),
    }
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress, ".zst": zstd}
    pack = packers[suffix]
    fake_kernel(tmp_path, "6.1.0-1-cloud", {name + suffix: pack(content) for name, content in plain.items()})
    modules = load_modules(find_kernel(str(tmp_path)), ["virtio_pci", "virtio_blk", "no_such_driver"])
    assert [item.name for item in modules] == ["virtio", "virtio_ring", "virtio_pci", "virtio_blk"]
    assert modules[-1].aliases == ("virtio:d00000002v*",)
    assert modules[0].content == plain["virtio.ko"]


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=content, stdout=subprocess.PIPE, check=True).stdout


def test_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("cpio is not installed")
    archive = cpio.pack(
        [cpio.directory("bin"), cpio.regular("bin/odd", b"12345", executable=True), cpio.regular("empty", b"")]
    )
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/odd").read_bytes() == b"12345"
    assert os.access(tmp_path / "bin/odd", os.X_OK)
    assert (tmp_path / "empty").read_bytes() == b""


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("altostratus.guest_image.programs._SEARCH_PATH", "/nonexistent")
    with pytest.raises(GuestImageError, match=r"apt-get install .*busybox-static.*mtools"):
        find_programs()


def test_image(mini_image: MiniImage) -> None:
    assert mini_image.size_bytes == os.path.getsize(mini_image.path) < 32 * MIB
    assert mini_image.virtual_size_bytes < 64 * MIB
    assert mini_image.version.startswith(f"{mini_image.kernel_version}-")
    assert os.listdir(os.path.dirname(mini_image.path)) == [os.path.basename(mini_image.path)]


def test_progress_and_the_same_image_again(mini_image: MiniImage, tmp_path: Path) -> None:
    seen: list[float] = []
    again = build_mini_image(
        str(tmp_path / "again"), kernel_directory(), progress=lambda phrase, done: seen.append(done)
    )
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert again.version == mini_image.version
    assert abs(again.size_bytes - mini_image.size_bytes) < 256 << 10


def root_partition(image: str, work: Path) -> Path:
    raw, root = work / "raw", work / "root"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, str(raw)], check=True)
    with open(raw, "rb") as disk:
        start = int.from_bytes(disk.read(512)[446 + 16 + 8 : 446 + 16 + 12], "little") * 512
        disk.seek(start)
        root.write_bytes(disk.read())
    return root


def test_build_without_root_rights_gives_root_its_files(mini_image: MiniImage, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.chmod(tmp_path, 0o777)
    for parent in tmp_path.parents[:2]:
        os.chmod(parent, 0o755)
    script = (
        "import importlib.readers, os, sys; from altostratus.guest_image import build_mini_image; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); build_mini_image(sys.argv[1], sys.argv[2] or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "image"), kernel_directory() or ""],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if "Permission" in done.stderr:
        pytest.skip("another user cannot read this checkout")
    assert done.returncode == 0, done.stderr
    root = root_partition(str(tmp_path / "image"), tmp_path)
    for path, user, group, mode in (
        ("/etc/shadow", 0, 0, "0600"),
        ("/usr/bin/busybox", 0, 0, "04755"),
        ("/usr/lib/guest/as-root", 0, 27, "04750"),
        ("/home/cirros", 1000, 1000, "0755"),
    ):
        shown = subprocess.run(
            ["debugfs", "-R", f"stat {path}", str(root)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert shown[shown.index("User:") + 1] == str(user), path
        assert shown[shown.index("Group:") + 1] == str(group), path
        assert int(shown[shown.index("Mode:") + 1], 8) == int(mode, 8), path


def test_root_file_system_is_sound(mini_image: MiniImage, tmp_path: Path) -> None:
    root = root_partition(mini_image.path, tmp_path)
    done = subprocess.run(["e2fsck", "-f", "-n", str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_guest_kernel_is_plain_data() -> None:
    kernel = GuestKernel("1", "/boot/vmlinuz-1", "/lib/modules/1", {}, frozenset())
    assert kernel.version == "1"
