# SPDX-License-Identifier: Apache-2.0
"""A cloud with everything compute needs, over a simulated hypervisor that answers at once."""

import base64

import msgspec
import pytest

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

from .people import Person

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


@pytest.fixture
def agent():
    return GuestAgent()


@pytest.fixture
def cloud(tmp_path, agent):
    store = tmp_path / "store"
    store.mkdir()

    def prepare(made):
        made.add_part(ImageStore, FakeImageStore(directory=str(store)))
        made.add_part(DiskInspector, HeaderInspector())
        made.add_part(StagingArea, StagingArea(directory=str(tmp_path)))
        made.add_part(HostCalls, Asked(agent.driver))

    agents = {
        "compute": agent,
        "network": InstantAgent(NETWORK_KINDS),
        "block_storage": StorageAgent(),
    }
    with TestCloud(tmp_path, services=SERVICES, agents=agents, prepare=prepare) as made:
        with made.cloud.db.write() as tx:
            hosts.announce(tx, made.cloud)
        yield made


@pytest.fixture
def member(cloud):
    return Person(cloud, "member")


@pytest.fixture
def other(cloud):
    """A member of another project."""
    return Person(cloud, "member@green")


@pytest.fixture
def reader(cloud):
    return Person(cloud, "reader")


@pytest.fixture
def admin(cloud):
    return Person(cloud, "admin")


@pytest.fixture
def image(member):
    """An active image of 8 bytes."""
    return member.make_image()


@pytest.fixture
def network(member):
    return member.make_network()


@pytest.fixture
def server(member, image, network):
    """A server that is ACTIVE."""
    return member.make_server(image, network)
