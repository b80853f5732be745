# SPDX-License-Identifier: Apache-2.0
"""Power actions: what they do to the guest, and when they are refused."""

import pytest

from .people import words_of


def test_there_and_back(member, agent, server):
    for action, status, power in (
        ("os-stop", "SHUTOFF", "stopped"),
        ("os-start", "ACTIVE", "running"),
        ("pause", "PAUSED", "paused"),
        ("unpause", "ACTIVE", "running"),
        ("suspend", "SUSPENDED", "suspended"),
        ("resume", "ACTIVE", "running"),
    ):
        assert member.do(server, action).status == 202
        shown = member.show(server)
        assert shown["status"] == status and shown["OS-EXT-STS:task_state"] is None
        assert agent.driver.show_server(server).power == power
    actions = [one["action"] for one in member.read(f"/servers/{server}/os-instance-actions")["instanceActions"]]
    assert actions == ["resume", "suspend", "unpause", "pause", "start", "stop", "create"]


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_reboot(member, agent, server, kind):
    before = agent.spec_of(server).reboot_token
    member.do(server, "reboot", {"type": kind})
    spec = agent.spec_of(server)
    assert spec.reboot_token not in (None, before) and spec.reboot_kind == kind.lower()
    assert member.show(server)["status"] == "ACTIVE"


def test_what_is_going_on_shows(member, cloud, agent, server):
    agent.deaf.add(server)
    for action, value, task, status in (("reboot", {"type": "HARD"}, "reboot_started_hard", "HARD_REBOOT"),):
        assert member.act(server, action, value).status == 202
        cloud.settle()
        shown = member.show(server)
        assert shown["OS-EXT-STS:task_state"] == task and shown["status"] == status
        refused = member.act(server, "os-stop")
        assert refused.status == 409
        assert words_of(refused) == f"Cannot 'stop' instance {server} while it is in task_state {task}"


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("os-start", None),
        ("unpause", None),
        ("resume", None),
        ("confirmResize", None),
        ("revertResize", None),
        ("restore", None),
    ],
)
def test_wrong_state(member, server, action, value):
    refused = member.act(server, action, value)
    assert refused.status == 409 and "while it is in vm_state active" in words_of(refused)


def test_bad_bodies(member, server):
    assert member.act(server, "reboot", {"type": "GENTLE"}).status == 400
    assert member.act(server, "reboot", {}).status == 400
    assert member.act(server, "fly").status == 400
    assert member.post(f"/servers/{server}/action", {}).status == 400


def test_a_failed_start_is_told(member, agent, server):
    member.do(server, "os-stop")
    agent.fail[server] = "The host has no memory left."
    member.do(server, "os-start")
    shown = member.show(server)
    assert shown["status"] == "SHUTOFF" and shown["OS-EXT-STS:task_state"] is None
    history = member.read(f"/servers/{server}/os-instance-actions")["instanceActions"]
    assert history[0]["action"] == "start" and history[0]["message"] == "Error"
    request_id = history[0]["request_id"]
    events = member.read(f"/servers/{server}/os-instance-actions/{request_id}")["instanceAction"]["events"]
    assert any(one["result"] == "Error" and "no memory left" in one["details"] for one in events)


def test_change_password_needs_an_agent(member, server):
    assert member.act(server, "changePassword", {"adminPass": "x"}).status == 409
