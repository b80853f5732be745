# SPDX-License-Identifier: Apache-2.0
"""Quarantine (requirement IDN-15): IT security shuts the network of any project's server, and opens it again."""

import logging

import pytest

PATH = "/alto/v1/quarantines"
NETWORK = "/network/v2.0"


@pytest.fixture
def member(cloud):
    return cloud.person("member")


@pytest.fixture
def network(member):
    return member.make_network()


@pytest.fixture
def image(member):
    return member.make_image()


@pytest.fixture
def server(member, image, network):
    return member.make_server(image, network)


@pytest.fixture
def itsec(cloud):
    """In a project of its own: the servers are others'."""
    cloud.make("roles", "role", name="itsec")
    return cloud.person("itsec", "security").client


def shut(client, server, reason="it scans others"):
    answer = client.put(f"{PATH}/{server}", {"quarantine": {"reason": reason}})
    assert answer.status == 200, answer.text
    return answer.json["quarantine"]


def is_shut(cloud, member, server):
    """What the hosts are told about each of the server's ports."""
    cloud.settle()
    seen = cloud.agents["network"].seen
    return [seen["port", port["id"]].spec["quarantined"] for port in member.ports_of(server)]


def test_itsec_shuts_and_opens_a_server_of_any_project(cloud, member, server, itsec):
    assert is_shut(cloud, member, server) == [False]
    case = shut(itsec, server)
    assert case["server_id"] == server and case["project_id"] == member.project_id
    assert case["reason"] == "it scans others" and case["user_name"] == "itsec-of-security"
    assert is_shut(cloud, member, server) == [True]
    assert itsec.get(PATH).json["quarantines"] == [case] == [itsec.get(f"{PATH}/{server}").json["quarantine"]]
    assert itsec.delete(f"{PATH}/{server}?reason=cleaned").status == 204
    assert is_shut(cloud, member, server) == [False]
    assert itsec.get(PATH).json["quarantines"] == []


def test_admin_may_too_and_by_the_server_s_name(cloud, member, server):
    assert shut(cloud.admin, "s")["server_id"] == server
    assert cloud.admin.delete(f"{PATH}/s").status == 204


@pytest.mark.parametrize("role", ["member", "manager", "reader", "projectmanager", "netadmin"])
def test_nobody_else_may(cloud, member, server, role):
    if role in ("projectmanager", "netadmin"):
        cloud.make("roles", "role", name=role)
    client = cloud.person(role).client
    asked = [
        client.get(PATH),
        client.put(f"{PATH}/{server}", {"quarantine": {"reason": "x"}}),
        client.delete(f"{PATH}/{server}"),
    ]
    assert [one.status for one in asked] == [403, 403, 403]
    assert "The role itsec would allow it." in asked[0].text
    assert is_shut(cloud, member, server) == [False]


def test_the_console_stays_open(cloud, member, server, itsec):
    shut(itsec, server)
    made = member.post(f"/servers/{server}/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}})
    assert made.status == 200, made.text


@pytest.mark.parametrize(
    ("action", "value"),
    [("reboot", {"type": "HARD"}), ("os-stop", None), ("suspend", None), ("rebuild", {"imageRef": None})],
)
def test_it_survives_what_happens_to_the_server(cloud, member, image, server, itsec, action, value):
    shut(itsec, server)
    if action == "rebuild":
        value = {"imageRef": image}
    member.do(server, action, value)
    if action in ("os-stop", "suspend"):
        member.do(server, {"os-stop": "os-start", "suspend": "resume"}[action])
    assert is_shut(cloud, member, server) == [True]


def test_new_ports_of_the_server_are_shut_too(cloud, member, server, network, itsec):
    shut(itsec, server)
    attached = member.post(f"/servers/{server}/os-interface", {"interfaceAttachment": {"net_id": network}})
    assert attached.status == 200, attached.text
    cloud.settle()
    port = member.client.post(f"{NETWORK}/ports", {"port": {"network_id": network}}).json["port"]["id"]
    member.post(f"/servers/{server}/os-interface", {"interfaceAttachment": {"port_id": port}})
    assert is_shut(cloud, member, server) == [True, True, True]
    assert itsec.delete(f"{PATH}/{server}").status == 204
    assert is_shut(cloud, member, server) == [False, False, False]


def test_a_port_that_leaves_the_server_is_free_again(cloud, member, server, network, itsec):
    port = member.client.post(f"{NETWORK}/ports", {"port": {"network_id": network}}).json["port"]["id"]
    member.post(f"/servers/{server}/os-interface", {"interfaceAttachment": {"port_id": port}})
    cloud.settle()
    shut(itsec, server)
    assert member.delete(f"/servers/{server}/os-interface/{port}").status == 202
    cloud.settle()
    assert cloud.agents["network"].seen["port", port].spec["quarantined"] is False


def test_the_owner_cannot_slip_out_by_changing_the_port(cloud, member, server, itsec):
    shut(itsec, server)
    port = member.ports_of(server)[0]["id"]
    changes: list[dict[str, object]] = [
        {"device_id": ""}, {"device_id": "other"}, {"security_groups": []}, {"device_owner": ""},
    ]  # fmt: skip
    for change in changes:
        member.client.put(f"{NETWORK}/ports/{port}", {"port": change})
        cloud.settle()
        assert cloud.agents["network"].seen["port", port].spec["quarantined"] is True, change


def test_a_server_that_is_still_built_gets_its_ports_shut(cloud, member, image, network, itsec):
    server = member.begin_server(image, network)
    shut(itsec, server)
    assert is_shut(cloud, member, server) == [True]


def test_the_case_ends_with_the_server(cloud, member, server, itsec):
    shut(itsec, server)
    member.delete(f"/servers/{server}")
    cloud.settle()
    assert itsec.get(PATH).json["quarantines"] == []
    assert itsec.get(f"{PATH}/{server}").status == 404


def test_it_is_in_the_log_and_in_the_trace_with_who_when_and_why(cloud, server, itsec, caplog):
    with caplog.at_level(logging.WARNING, "altostratus.quarantine"):
        shut(itsec, server)
        itsec.delete(f"{PATH}/{server}?reason=cleaned")
    assert [f"server {server}" in line for line in caplog.messages] == [True, True]
    assert "it scans others (by itsec-of-security)" in caplog.messages[0] and "cleaned" in caplog.messages[1]
    cloud.settle()
    events = cloud.admin.get(f"/alto/v1/traces/{server}").json["events"]
    told = {one["what"]: one["detail"] for one in events if one["what"].startswith("alto.")}
    assert told["alto.server.quarantined"] == {
        "server_id": server, "reason": "it scans others", "by": "itsec-of-security",
    }  # fmt: skip
    assert told["alto.server.released"]["reason"] == "cleaned"


def test_again_changes_the_reason(cloud, member, server, itsec):
    shut(itsec, server)
    assert shut(itsec, server, "worse")["reason"] == "worse"
    assert len(itsec.get(PATH).json["quarantines"]) == 1
    assert is_shut(cloud, member, server) == [True]


def test_what_cannot_be_done_is_said(cloud, member, image, network, server, itsec):
    member.make_server(image, network)
    cases = [
        (itsec.put(f"{PATH}/nothing", {"quarantine": {"reason": "x"}}), 404, "no server 'nothing'"),
        (itsec.put(f"{PATH}/s", {"quarantine": {"reason": "x"}}), 400, server),
        (itsec.put(f"{PATH}/{server}", {"quarantine": {}}), 400, "reason"),
        (itsec.delete(f"{PATH}/{server}"), 404, "not under quarantine"),
    ]
    for answer, status, words in cases:
        assert answer.status == status and words in answer.json["error"]["message"], answer.text


def test_the_list_costs_the_same_for_many(cloud, member, image, network, itsec):
    def listed():
        itsec.get(PATH)

    queries = []
    for _ in range(3):
        shut(itsec, member.make_server(image, network))
        listed()
        queries.append(cloud.count_queries(listed))
    assert len(set(queries)) == 1
