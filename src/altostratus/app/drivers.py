# SPDX-License-Identifier: Apache-2.0
"""Which driver stands behind which agent, by configuration."""

from altostratus.agents.block_storage.agent import VolumeAgent
from altostratus.agents.compute.agent import ComputeAgent
from altostratus.agents.network.agent import NetworkAgent
from altostratus.app.object_disks import embedded_stores
from altostratus.app.object_pools import rados_stores
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, guest_identity
from altostratus.contracts.host_api import Agent, HostApi
from altostratus.contracts.hypervisor import Hypervisor
from altostratus.contracts.network import NetworkDriver, PhysicalNetwork
from altostratus.contracts.volume import VolumeDriver
from altostratus.drivers.hypervisor.fake import FakeConfig, FakeHypervisor
from altostratus.drivers.hypervisor.qemu import QemuConfig, QemuHypervisor
from altostratus.drivers.network.fake import FakeNetworkDriver
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.driver import LinuxBridgeDriver
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.drivers.object_store.rados import RadosOptions
from altostratus.drivers.volume.fake import FakeVolumeDriver
from altostratus.drivers.volume.file import FileVolumeDriver

# The outside world of a single host: flat and vlan networks on `public` reach it.
WORLD = PhysicalNetwork(name="public")


def create_hypervisor(options: CloudOptions, paths: Paths) -> Hypervisor:
    """Raises HypervisorError with a sentence when this host cannot run guests."""
    if options.hypervisor == "fake":
        return FakeHypervisor(FakeConfig(state_dir=paths.servers))
    return QemuHypervisor(qemu_config(options, paths))


def qemu_config(options: CloudOptions, paths: Paths) -> QemuConfig:
    return QemuConfig(
        instances_dir=paths.servers,
        base_cache_dir=paths.image_cache,
        run_as=guest_identity(options),
        console_group=control_identity(options).gid if guest_identity(options) else None,
        session=_session_of(paths),
    )


def _session_of(paths: Paths) -> str:
    """A name for the present start of the cloud: its supervisor writes the lock file once."""
    try:
        return str((paths.run / "supervisor.lock").stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def create_network_driver(options: CloudOptions, paths: Paths) -> NetworkDriver:
    """Raises OSError or MissingTool with a sentence when this host cannot make networks."""
    if options.network == "fake":
        return FakeNetworkDriver()
    config = LinuxBridgeConfig(cloud_tag=paths.tag, state_dir=paths.network, physical_networks=(WORLD,))
    return LinuxBridgeDriver(config)


def create_volume_drivers(options: CloudOptions, paths: Paths) -> list[VolumeDriver]:
    if options.volume == "fake":
        return [FakeVolumeDriver()]
    return [FileVolumeDriver(str(paths.volumes), "file", owner=guest_identity(options))]


def create_object_stores(options: CloudOptions, rados: RadosOptions, paths: Paths) -> PolicyStores:
    """One for each storage policy, and all of them as one."""
    if options.objects == "rados":
        return rados_stores(paths, rados)
    if options.objects == "fake":
        return PolicyStores(paths.object_policies, lambda _policy: FakeObjectStore())
    return embedded_stores(paths)


def create_agents(options: CloudOptions, paths: Paths, host: str, api: HostApi) -> dict[str, Agent]:
    """The agents of this host by name."""
    return {
        "network": NetworkAgent(
            create_network_driver(options, paths), lambda name, params: api.ask(host, name, params)
        ),
        "block_storage": VolumeAgent(create_volume_drivers(options, paths)),
        "compute": ComputeAgent(create_hypervisor(options, paths)),
    }
