# SPDX-License-Identifier: Apache-2.0
"""After `alto down` and `up` the agent reports guests as stopped before it starts them again.

That made their servers SHUTOFF for a moment, and their wanted power "stopped" for good, so that the next
change of the server would have ended the guest.
"""

from altostratus.contracts.host_api import Report


def report(cloud, server, generation, **state):
    cloud.cloud.desired.report(
        "host-1", [Report(kind="server", id=server, generation=generation, state=state, error=None)]
    )


def test_a_guest_that_the_host_restarts_stays_active(member, cloud, agent, server):
    generation = agent.last[server].generation
    report(cloud, server, generation, power="stopped", reason=None)
    assert member.show(server)["status"] == "ACTIVE"
    report(cloud, server, generation, power="running", reason=None)
    shown = member.show(server)
    assert shown["status"] == "ACTIVE" and shown["OS-EXT-STS:power_state"] == 1
