# SPDX-License-Identifier: Apache-2.0
"""A cloud with the network service, and people who use it."""

import pytest

from altostratus.services.network.service import SERVICE
from altostratus.testing.cloud import InstantAgent, TestCloud

from .people import Person

KINDS = ("network", "port", "security_group", "router")


@pytest.fixture
def cloud(tmp_path):
    with TestCloud(tmp_path, services=(SERVICE,), agents={"network": InstantAgent(KINDS)}) as made:
        yield made


@pytest.fixture
def member(cloud):
    return Person(cloud.client("member"))


@pytest.fixture
def other(cloud):
    """A member of another project."""
    return Person(cloud.client("member@green"))


@pytest.fixture
def reader(cloud):
    return Person(cloud.client("reader"))


@pytest.fixture
def admin(cloud):
    return Person(cloud.client("admin"))


@pytest.fixture
def outside(admin):
    """The external network of the demo."""
    network = admin.make(
        "network",
        name="public",
        **{"router:external": True, "provider:network_type": "flat", "provider:physical_network": "public"},
    )
    admin.make(
        "subnet",
        network_id=network["id"],
        ip_version=4,
        cidr="192.168.100.0/24",
        gateway_ip="192.168.100.1",
        enable_dhcp=False,
        name="pubsub",
    )
    return network


@pytest.fixture
def inside(member):
    """A network with a subnet: (network, subnet)."""
    network = member.make("network", name="inside")
    subnet = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    return network, subnet


@pytest.fixture
def agent(cloud):
    return cloud.agents["network"]
