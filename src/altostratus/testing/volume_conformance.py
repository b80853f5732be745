# SPDX-License-Identifier: Apache-2.0
"""What every volume driver must do. Subclass `VolumeDriverConformance` in a test module and give it a driver."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from altostratus.contracts.volume import SnapshotSpec, VolumeDriver, VolumeError, VolumeSource, VolumeSpec

VOLUME_ID = "11111111-aaaa-4bbb-8ccc-000000000001"
COPY_ID = "11111111-aaaa-4bbb-8ccc-000000000002"
SNAPSHOT_ID = "22222222-aaaa-4bbb-8ccc-000000000001"


def volume(id: str = VOLUME_ID, size_gib: int = 1, source: VolumeSource | None = None) -> VolumeSpec:
    """A spec of a small volume."""
    return VolumeSpec(id=id, name="conformance", size_gib=size_gib, source=source)


class VolumeDriverConformance:
    """Override `make_driver`; every `test_` method then runs against it."""

    def make_driver(self, directory: Path) -> VolumeDriver:
        raise AssertionError("override make_driver")

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Iterator[VolumeDriver]:
        driver = self.make_driver(tmp_path)
        yield driver
        driver.close()

    def test_info(self, driver: VolumeDriver) -> None:
        info = driver.info()
        assert info.name
        assert 0 <= info.free_gib <= info.total_gib

    def test_life_of_a_volume(self, driver: VolumeDriver) -> None:
        state = driver.ensure_volume(volume())
        assert (state.id, state.present, state.size_gib) == (VOLUME_ID, True, 1)
        assert state.path
        assert driver.ensure_volume(volume()) == state
        assert driver.list_volumes() == [state]
        driver.remove_volume(VOLUME_ID)
        driver.remove_volume(VOLUME_ID)
        assert driver.list_volumes() == []

    def test_grows_and_never_shrinks(self, driver: VolumeDriver) -> None:
        driver.ensure_volume(volume())
        assert driver.ensure_volume(volume(size_gib=3)).size_gib == 3
        assert driver.ensure_volume(volume(size_gib=2)).size_gib == 3

    def test_attached_volume_is_not_grown_here(self, driver: VolumeDriver) -> None:
        driver.ensure_volume(volume())
        spec = VolumeSpec(id=VOLUME_ID, name="conformance", size_gib=2, attached_to="server")
        assert driver.ensure_volume(spec).size_gib == 1

    def test_copy_of_a_volume_outlives_it(self, driver: VolumeDriver) -> None:
        driver.ensure_volume(volume())
        source = VolumeSource(kind="volume", id=VOLUME_ID)
        assert driver.ensure_volume(volume(COPY_ID, 2, source)).size_gib == 2
        driver.remove_volume(VOLUME_ID)
        assert [state.id for state in driver.list_volumes()] == [COPY_ID]
        assert driver.ensure_volume(volume(COPY_ID, 2, source)).present

    def test_snapshot_and_volume_from_it(self, driver: VolumeDriver) -> None:
        driver.ensure_volume(volume())
        spec = SnapshotSpec(id=SNAPSHOT_ID, volume_id=VOLUME_ID, size_gib=1)
        driver.ensure_snapshot(spec)
        driver.ensure_snapshot(spec)
        assert driver.list_snapshots() == [SNAPSHOT_ID]
        assert driver.ensure_volume(volume(COPY_ID, 1, VolumeSource(kind="snapshot", id=SNAPSHOT_ID))).present
        driver.remove_snapshot(SNAPSHOT_ID)
        driver.remove_snapshot(SNAPSHOT_ID)
        assert driver.list_snapshots() == []

    def test_missing_sources_are_final(self, driver: VolumeDriver) -> None:
        for kind in ("volume", "snapshot"):
            with pytest.raises(VolumeError) as caught:
                driver.ensure_volume(volume(source=VolumeSource(kind=kind, id=COPY_ID)))
            assert caught.value.final
        with pytest.raises(VolumeError) as caught:
            driver.ensure_snapshot(SnapshotSpec(id=SNAPSHOT_ID, volume_id=VOLUME_ID, size_gib=1))
        assert caught.value.final
        assert (driver.list_volumes(), driver.list_snapshots()) == ([], [])

    def test_export_happens_once(self, driver: VolumeDriver, tmp_path: Path) -> None:
        driver.ensure_volume(volume())
        spec = VolumeSpec(
            id=VOLUME_ID,
            name="c",
            size_gib=1,
            export_token="one",
            export_path=str(tmp_path / "exported"),
            export_format="raw",
        )
        state = driver.ensure_volume(spec)
        assert (state.export_token, state.export_size_bytes) == ("one", 1 << 30)
        assert driver.ensure_volume(spec).export_token == "one"
        assert driver.list_volumes()[0].export_token == "one"
