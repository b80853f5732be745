# SPDX-License-Identifier: Apache-2.0
"""A cloud with everything compute needs, over a simulated hypervisor that answers at once."""

import pytest

from .people import Person
from .world import new_agents, open_cloud


@pytest.fixture
def cloud(tmp_path):
    with open_cloud(tmp_path, new_agents()) as made:
        yield made


@pytest.fixture
def agent(cloud):
    return cloud.agents["compute"]


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
