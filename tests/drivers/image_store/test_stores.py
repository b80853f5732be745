# SPDX-License-Identifier: Apache-2.0
"""The image stores: the conformance suite on each, and what is particular to files."""

import errno
import io
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from altostratus.contracts.image_store import ImageStore, ImageStoreError
from altostratus.drivers.image_store.fake import FakeImageStore
from altostratus.drivers.image_store.file import FileImageStore
from altostratus.testing.image_store_conformance import IMAGE_ID, MIB, ImageStoreConformance


class TestFileImageStore(ImageStoreConformance):
    def make_store(self, directory: Path) -> ImageStore:
        return FileImageStore(str(directory))


class TestFakeImageStore(ImageStoreConformance):
    def make_store(self, directory: Path) -> ImageStore:
        return FakeImageStore()


def test_zeros_are_holes(tmp_path: Path) -> None:
    store = FileImageStore(str(tmp_path))
    location = store.write(IMAGE_ID, io.BytesIO(bytes(16 * MIB)), expected_size=None, max_bytes=64 * MIB).location
    path = store.local_path(location)
    assert path is not None
    assert os.stat(path).st_blocks * 512 < MIB


def test_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileImageStore(str(tmp_path))

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("altostratus.drivers.image_store.file.os.write", full)
    with pytest.raises(ImageStoreError, match="is full") as caught:
        store.write(IMAGE_ID, io.BytesIO(b"x" * MIB), expected_size=None, max_bytes=64 * MIB)
    assert caught.value.code == "full"
    assert list(tmp_path.iterdir()) == []


def test_killed_upload_is_swept(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        from altostratus.drivers.image_store.file import FileImageStore

        class Killing:
            def read(self, size):
                if self.given:
                    os.kill(os.getpid(), signal.SIGKILL)
                self.given = True
                return b"x" * size
            given = False

        FileImageStore(sys.argv[1]).write("killed", Killing(), expected_size=None, max_bytes=1 << 30)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False, timeout=60)
    assert len(list(tmp_path.iterdir())) == 1
    store = FileImageStore(str(tmp_path))
    assert store.list_locations() == []
    assert store.sweep(older_than_s=3600) == 0
    (left,) = tmp_path.iterdir()
    os.utime(left, (time.time() - 7200,) * 2)
    assert store.sweep(older_than_s=3600) == 1
    assert list(tmp_path.iterdir()) == []


def test_adopt_across_file_systems_copies(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    source = other / f"altostratus-test-{os.getpid()}"
    source.write_bytes(b"snapshot")
    try:
        store = FileImageStore(str(tmp_path))
        assert b"".join(store.read(store.adopt(IMAGE_ID, str(source)).location)) == b"snapshot"
        assert not source.exists()
    finally:
        source.unlink(missing_ok=True)


def test_adopt_refuses_links(tmp_path: Path) -> None:
    store = FileImageStore(str(tmp_path / "store"))
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ImageStoreError):
        store.adopt(IMAGE_ID, str(tmp_path / "link"))


def test_location_of_another_store(tmp_path: Path) -> None:
    store = FileImageStore(str(tmp_path), name="fast")
    for location in (f"file:{IMAGE_ID}", IMAGE_ID, "fast:../../etc/passwd"):
        with pytest.raises(ImageStoreError) as caught:
            store.local_path(location)
        assert caught.value.code == "invalid"


def test_constant_memory(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import resource, sys
        from altostratus.drivers.image_store.file import FileImageStore

        class Zeros:
            left = 256
            def read(self, size):
                self.left -= 1
                return bytes(1 << 20) if self.left >= 0 else b""

        store = FileImageStore(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        store.write("big", Zeros(), expected_size=256 << 20, max_bytes=1 << 30)
        sum(map(len, store.read("file:big")))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    grown_kib = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, check=True, capture_output=True, timeout=60
    ).stdout
    assert int(grown_kib) < 16 << 10


def test_fake_faults(tmp_path: Path) -> None:
    store = FakeImageStore(capacity_bytes=10, directory=str(tmp_path))
    store.fail_next = ImageStoreError("io", "The disk is broken.")
    with pytest.raises(ImageStoreError, match="broken"):
        store.write(IMAGE_ID, io.BytesIO(b"x"), expected_size=None, max_bytes=9)
    with pytest.raises(ImageStoreError, match="full"):
        store.write(IMAGE_ID, io.BytesIO(b"x" * 11), expected_size=None, max_bytes=99)
    location = store.write(IMAGE_ID, io.BytesIO(b"ok"), expected_size=None, max_bytes=9).location
    path = store.local_path(location)
    assert path is not None
    assert Path(path).read_bytes() == b"ok"
