# SPDX-License-Identifier: Apache-2.0
"""The machines below a test cloud, and clouds that begin from a database made once."""

import base64
import tempfile
from functools import cache
from pathlib import Path

import msgspec

from altostratus.contracts.host_api import Report
from altostratus.contracts.hypervisor import HypervisorError, ServerSpec
from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.contracts.volume import SnapshotSpec, VolumeSpec
from altostratus.drivers.hypervisor.fake import FakeConfig, FakeHypervisor
from altostratus.drivers.image_store.fake import FakeImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.drivers.volume.fake import FakeVolumeDriver
from altostratus.kernel.host_calls import HostCalls
from altostratus.services.block_storage.service import SERVICE as BLOCK_STORAGE
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.service import SERVICE as COMPUTE
from altostratus.services.image.service import SERVICE as IMAGE
from altostratus.services.network.service import SERVICE as NETWORK
from altostratus.services.placement.service import SERVICE as PLACEMENT
from altostratus.testing.cloud import InstantAgent, TestCloud

SERVICES = (PLACEMENT, IMAGE, NETWORK, BLOCK_STORAGE, COMPUTE)
NETWORK_KINDS = ("network", "port", "security_group", "router")


class GuestAgent:
    """The compute agent, without threads: what is wanted is done inside `apply`.

    `fail` maps a server id to the error that its next wishes meet; `refuse` gives one for a spec; `deaf` holds
    servers that get no answer.
    """

    kinds = ("server",)

    def __init__(self):
        self.driver = FakeHypervisor(FakeConfig())
        self.fail = {}
        self.deaf = set()
        self.refuse = lambda spec: None
        self.last = {}
        self.store = None

    def apply(self, wanted, changed, report, *, resync):
        for key in sorted(changed):
            row = wanted[key]
            self.last[row.id] = row
            if row.id not in self.deaf:
                report(self._answer(row))

    def _answer(self, row):
        state, error = {}, self.fail.get(row.id) or self.fail.get("*")
        if row.spec is None:
            self.driver.remove_server(row.id)
            return Report(kind=row.kind, id=row.id, generation=row.generation)
        spec = msgspec.convert(row.spec, ServerSpec)
        error = error or self.refuse(spec)
        if error is None:
            try:
                state = msgspec.to_builtins(self.driver.ensure_server(spec))
            except HypervisorError as refusal:
                error = str(refusal)
        return Report(
            kind=row.kind, id=row.id, generation=row.generation, state=state, error=error, final=error is not None
        )

    def spec_of(self, server_id):
        return msgspec.convert(self.last[server_id].spec, ServerSpec)

    def calls(self):
        return {}

    def facts(self):
        return {
            "hypervisor": msgspec.to_builtins(self.driver.info()),
            "usage": msgspec.to_builtins(self.driver.usage()),
        }

    def close(self):
        self.driver.close()


class Asked:
    """Answers questions to agents from the driver itself."""

    def __init__(self, driver):
        self._driver = driver

    def call(self, host, name, params, timeout_s=10.0):
        if name == "compute.console_log":
            data = self._driver.console_log(params["server_id"], 1 << 20)
            return {"data_base64": base64.b64encode(data).decode()}
        if name == "compute.stats":
            return self._driver.stats(params["server_id"])
        raise AssertionError(name)


class StorageAgent(InstantAgent):
    """The storage agent over volumes in memory."""

    def __init__(self):
        super().__init__(("volume", "snapshot"), self._make)
        self.driver = FakeVolumeDriver()

    def _make(self, wanted):
        if wanted.kind == "snapshot":
            self.driver.ensure_snapshot(msgspec.convert(wanted.spec, SnapshotSpec))
            return {"id": wanted.id, "present": True}
        return msgspec.to_builtins(self.driver.ensure_volume(msgspec.convert(wanted.spec, VolumeSpec)))

    def facts(self):
        return {"backends": [msgspec.to_builtins(self.driver.info())]}


def new_agents():
    return {"compute": GuestAgent(), "network": InstantAgent(NETWORK_KINDS), "block_storage": StorageAgent()}


def open_cloud(directory, agents):
    """A cloud on the database in `directory`; a new one starts from a copy of an empty one, which is quicker."""
    database = directory / "test.sqlite"
    if not database.exists():
        database.write_bytes(_empty_database())
    return _open(directory, agents)


def open_with(directory, *, services=SERVICES, settings=None):
    """A new cloud with other services or options."""
    (directory / "test.sqlite").write_bytes(_empty_database())
    return _open(directory, new_agents(), services, settings)


def _open(directory, agents, services=SERVICES, settings=None):
    store = directory / "store"
    store.mkdir(exist_ok=True)
    guests = agents["compute"]
    if guests.store is None:
        guests.store = FakeImageStore(directory=str(store))

    def prepare(made):
        made.add_part(ImageStore, guests.store)
        made.add_part(DiskInspector, HeaderInspector())
        made.add_part(StagingArea, StagingArea(directory=str(directory)))
        made.add_part(HostCalls, Asked(guests.driver))

    made = TestCloud(directory, services=services, settings=settings, agents=agents, prepare=prepare)
    with made.cloud.db.write() as tx:
        hosts.announce(tx, made.cloud)
    return made


@cache
def _empty_database():
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with _open(directory, new_agents()) as made, made.cloud.db.engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return (directory / "test.sqlite").read_bytes()
