# SPDX-License-Identifier: Apache-2.0
"""The volume drivers: the conformance suite on each, and what is particular to files."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from altostratus.contracts.volume import SnapshotSpec, VolumeDriver, VolumeError, VolumeSource, VolumeSpec
from altostratus.drivers.volume.fake import FakeVolumeDriver
from altostratus.drivers.volume.file import GIB, FileVolumeDriver
from altostratus.testing.volume_conformance import COPY_ID, SNAPSHOT_ID, VOLUME_ID, VolumeDriverConformance, volume

MIB = 1 << 20
needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def qemu_io(path: str, format: str, command: str) -> None:
    subprocess.run(["qemu-io", "-f", format, "-c", command, path], check=True, capture_output=True, timeout=30)


def holds(path: str, format: str, byte: int) -> bool:
    """Whether the first MiB consists of `byte`."""
    done = subprocess.run(
        ["qemu-io", "-U", "-f", format, "-r", "-c", f"read -P {byte} 0 1M", path],
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return "Pattern verification failed" not in done.stdout + done.stderr


def make_image(path: Path, format: str, size: str = "64M") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", format, str(path), size], check=True)
    qemu_io(str(path), format, "write -P 65 0 1M")
    return path


@needs_qemu_img
class TestFileVolumeDriver(VolumeDriverConformance):
    def make_driver(self, directory: Path) -> VolumeDriver:
        return FileVolumeDriver(str(directory / "volumes"), "file")


class TestFakeVolumeDriver(VolumeDriverConformance):
    def make_driver(self, directory: Path) -> VolumeDriver:
        return FakeVolumeDriver()


@pytest.fixture
def driver(tmp_path: Path) -> FileVolumeDriver:
    return FileVolumeDriver(str(tmp_path / "volumes"), "file")


@needs_qemu_img
@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "vdi"])
@pytest.mark.parametrize("volume_format", ["raw", "qcow2"])
def test_volume_from_image(driver: FileVolumeDriver, tmp_path: Path, image_format: str, volume_format: str) -> None:
    image = make_image(tmp_path / "image", image_format)
    source = VolumeSource(kind="image", id="image", path=str(image), format=image_format)
    spec = VolumeSpec(id=VOLUME_ID, name="v", size_gib=1, source=source, format=volume_format)  # type: ignore[arg-type]
    state = driver.ensure_volume(spec)
    image.unlink()
    assert state.path is not None
    assert os.stat(state.path).st_mode & 0o777 == 0o660
    assert (state.format, state.size_gib) == (volume_format, 1)
    assert state.allocated_bytes < 8 * MIB
    assert holds(state.path, volume_format, 65)
    assert driver.ensure_volume(spec) == state


@needs_qemu_img
def test_bad_images_are_refused_for_good(driver: FileVolumeDriver, tmp_path: Path) -> None:
    base = make_image(tmp_path / "base", "qcow2")
    overlay = tmp_path / "overlay"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay], check=True)
    big = make_image(tmp_path / "big", "raw", "3G")
    for path, format, words in (
        (overlay, "qcow2", "backing file"),
        (base, "raw", "declared as 'raw'"),
        (big, "raw", "needs 3 GiB"),
        (tmp_path / "gone", "raw", "not on this host"),
        (base, "ploop", "refused|declared"),
    ):
        with pytest.raises(VolumeError, match=words) as caught:
            driver.ensure_volume(volume(source=VolumeSource(kind="image", id="i", path=str(path), format=format)))
        assert caught.value.final
    assert os.listdir(tmp_path / "volumes") == []


@needs_qemu_img
@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_content_follows(driver: FileVolumeDriver, format: str) -> None:
    origin = driver.ensure_volume(VolumeSpec(id=VOLUME_ID, name="v", size_gib=1, format=format))  # type: ignore[arg-type]
    assert origin.path is not None
    qemu_io(origin.path, format, "write -P 66 0 1M")
    driver.ensure_snapshot(SnapshotSpec(id=SNAPSHOT_ID, volume_id=VOLUME_ID, size_gib=1))
    qemu_io(origin.path, format, "write -P 67 0 1M")
    from_snapshot = driver.ensure_volume(volume(COPY_ID, 2, VolumeSource(kind="snapshot", id=SNAPSHOT_ID)))
    from_volume = driver.ensure_volume(volume("other", 1, VolumeSource(kind="volume", id=VOLUME_ID)))
    assert from_snapshot.path is not None
    assert from_volume.path is not None
    assert holds(from_snapshot.path, "qcow2", 66)
    assert holds(from_volume.path, "qcow2", 67)


@needs_qemu_img
def test_export(driver: FileVolumeDriver, tmp_path: Path) -> None:
    state = driver.ensure_volume(volume())
    assert state.path is not None
    qemu_io(state.path, "qcow2", "write -P 68 0 1M")
    target = tmp_path / "exported"
    spec = VolumeSpec(
        id=VOLUME_ID, name="v", size_gib=1, export_token="t", export_path=str(target), export_format="vmdk"
    )
    driver.ensure_volume(spec)
    target.unlink()
    again = driver.ensure_volume(spec)
    assert again.export_token == "t"
    assert not target.exists()
    other = VolumeSpec(
        id=VOLUME_ID, name="v", size_gib=1, export_token="u", export_path=str(target), export_format="qcow2"
    )
    assert driver.ensure_volume(other).export_size_bytes == target.stat().st_size
    assert holds(str(target), "qcow2", 68)
    driver.remove_volume(VOLUME_ID)
    assert os.listdir(tmp_path / "volumes") == []


@needs_qemu_img
def test_in_use(driver: FileVolumeDriver) -> None:
    """A volume that another QEMU process has open: copies work, growing says why not."""
    state = driver.ensure_volume(volume())
    assert state.path is not None
    holder = subprocess.Popen(["qemu-io", "-f", "qcow2", state.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"write -P 69 0 1M\nflush\n")
        holder.stdin.flush()
        while b"ops" not in holder.stdout.readline():
            pass
        driver.ensure_snapshot(SnapshotSpec(id=SNAPSHOT_ID, volume_id=VOLUME_ID, size_gib=1))
        copy = driver.ensure_volume(volume(COPY_ID, 1, VolumeSource(kind="snapshot", id=SNAPSHOT_ID)))
        assert copy.path is not None
        assert holds(copy.path, "qcow2", 69)
        with pytest.raises(VolumeError, match="in use") as caught:
            driver.ensure_volume(volume(size_gib=2))
        assert not caught.value.final
    finally:
        holder.kill()
        holder.communicate()


@needs_qemu_img
def test_busy_source_is_told(driver: FileVolumeDriver, tmp_path: Path) -> None:
    state = driver.ensure_volume(VolumeSpec(id=VOLUME_ID, name="v", size_gib=1, format="raw"))
    stop = threading.Event()

    def write() -> None:
        with open(str(state.path), "r+b", buffering=0) as file:
            while not stop.wait(0.001):
                file.seek(0)
                file.write(os.urandom(16))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(VolumeError, match="written to all the time") as caught:
            driver.ensure_snapshot(SnapshotSpec(id=SNAPSHOT_ID, volume_id=VOLUME_ID, size_gib=1))
    finally:
        stop.set()
        writer.join()
    assert not caught.value.final
    assert os.listdir(tmp_path / "volumes") == [f"volume-{VOLUME_ID}.raw"]


@needs_qemu_img
def test_killed_copy_is_mended(tmp_path: Path) -> None:
    """kill -9 while `qemu-img` copies: the volume is not there, and the next ask makes it whole."""
    image = tmp_path / "image"
    image.write_bytes(os.urandom(MIB) * 300)
    script = textwrap.dedent(
        """
        import sys
        from altostratus.contracts.volume import VolumeSource, VolumeSpec
        from altostratus.drivers.volume.file import FileVolumeDriver
        source = VolumeSource(kind="image", id="i", path=sys.argv[2], format="raw")
        FileVolumeDriver(sys.argv[1], "f").ensure_volume(VolumeSpec(id="v", name="v", size_gib=1, source=source))
        """
    )
    directory = tmp_path / "volumes"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(directory), str(image)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (directory.exists() and list(directory.glob(".tmp-*"))):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    driver = FileVolumeDriver(str(directory), "f")
    assert len(list(directory.iterdir())) == 1
    assert driver.list_volumes() == []
    source = VolumeSource(kind="image", id="i", path=str(image), format="raw")
    driver.ensure_volume(VolumeSpec(id="v", name="v", size_gib=1, source=source))
    assert os.listdir(directory) == ["volume-v.qcow2"]


@needs_qemu_img
def test_owner(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    state = FileVolumeDriver(str(tmp_path), "f", owner=(65534, 65534)).ensure_volume(volume())
    status = os.stat(str(state.path))
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o660)


def test_odd_ids(driver: FileVolumeDriver) -> None:
    for id in ("../x", "", "a/b", "a b"):
        with pytest.raises(VolumeError, match="consists of") as caught:
            driver.remove_volume(id)
        assert caught.value.final


def test_missing_qemu_img_is_told(driver: FileVolumeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(VolumeError, match="qemu-utils"):
        driver.ensure_volume(volume())


@needs_qemu_img
def test_full_disk_is_told(driver: FileVolumeDriver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "qemu-img"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'qemu-img: error while writing: No space left on device' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/bin:/usr/bin")
    with pytest.raises(VolumeError, match="is full") as caught:
        driver.ensure_volume(volume())
    assert not caught.value.final
    assert os.listdir(tmp_path / "volumes") == []


@needs_qemu_img
def test_close_ends_running_copies(driver: FileVolumeDriver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "qemu-img"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/bin:/usr/bin")
    timer = threading.Timer(0.2, driver.close)
    timer.start()
    started = time.monotonic()
    with pytest.raises(VolumeError):
        driver.ensure_volume(volume())
    timer.join()
    assert time.monotonic() - started < 30
    with pytest.raises(VolumeError, match="stopping"):
        driver.ensure_volume(volume())


def test_info(driver: FileVolumeDriver) -> None:
    info = driver.info()
    assert (info.driver, info.protocol, info.simulated) == ("file", "file", False)
    assert info.total_gib > 0


def test_fake_remembers_contents_and_fails_when_asked() -> None:
    fake = FakeVolumeDriver(total_gib=2)
    fake.fail("ensure_volume", VolumeError("The disk is broken."), times=1)
    with pytest.raises(VolumeError, match="broken"):
        fake.ensure_volume(volume())
    fake.ensure_volume(volume(source=VolumeSource(kind="image", id="mini")))
    fake.ensure_volume(volume(COPY_ID, source=VolumeSource(kind="volume", id=VOLUME_ID)))
    assert fake.contents[COPY_ID] == "image:mini"
    with pytest.raises(VolumeError, match="full"):
        fake.ensure_volume(volume("third"))
    assert fake.info().simulated
    assert GIB == 1 << 30
