# SPDX-License-Identifier: Apache-2.0
"""What compute sees of the network service."""

import pytest

from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from altostratus.services.network import public
from altostratus.services.network.public import RequestedNic

SERVER = "5e5e5e5e-0000-0000-0000-000000000001"


@pytest.fixture
def ctx(cloud):
    return cloud.cloud.authenticator.authenticate("member")


def bind(cloud, ctx, requested, server=SERVER, groups=()):
    with cloud.cloud.db.write() as tx:
        return public.create_or_bind_ports(
            tx,
            cloud.cloud,
            ctx.project_id,
            ctx.user_id,
            server_id=server,
            server_name="web-1",
            host="host-1",
            availability_zone="nova",
            requested=requested,
            security_groups=list(groups),
        )


def wire(cloud, wants):
    with cloud.cloud.db.write() as tx:
        for want in wants:
            cloud.cloud.desired.want(tx, want)
    cloud.settle()


def test_whole_life(cloud, ctx, member, inside, agent):
    network, subnet = inside
    prepared = member.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.50"}])
    requested = [RequestedNic(port_id=prepared["id"]), RequestedNic(network_id=network["id"], fixed_ip="10.0.0.60")]
    with cloud.cloud.db.read() as tx:
        assert public.validate_requested(tx, ctx, requested) == requested
    first, second = bind(cloud, ctx, requested)
    assert first.id == prepared["id"] and not first.created_by_compute and second.created_by_compute
    assert second.fixed_ips == [("10.0.0.60", subnet["id"], 4)] and second.network_label == "inside"
    assert second.security_groups[0][1] == "default" and second.mtu == 1450
    cloud.settle()
    assert agent.seen["port", first.id].spec["plugged"] and agent.seen["port", first.id].spec["hostname"] == "web-1"
    with cloud.cloud.db.read() as tx:
        wants = public.port_wants(tx, cloud.cloud, [first.id, second.id], "host-1")
    generation = agent.seen["port", first.id].generation
    wire(cloud, wants)
    assert agent.seen["port", first.id].generation == generation  # the same as was published
    shown = member.show("port", first.id)
    assert shown["device_id"] == SERVER and shown["device_owner"] == "compute:nova" and shown["dns_name"] == "web-1"
    with cloud.cloud.db.write() as tx:
        public.set_ports_status(tx, [first.id, second.id], "ACTIVE")
    assert member.list("port", f"id={first.id}")[0]["status"] == "ACTIVE"
    with cloud.cloud.db.read() as tx:
        ports = public.ports_of_servers(tx, [SERVER, "another"])
        assert [port.id for port in ports[SERVER]] == [first.id, second.id] and "another" not in ports
        assert public.metadata_ports(tx, network["id"], "10.0.0.60") == SERVER
        assert public.metadata_ports(tx, network["id"], "10.0.0.61") is None
        unplug = public.unplug_wants(tx, cloud.cloud, [first.id, second.id, "gone"], "host-1")
    wire(cloud, unplug)
    assert agent.seen["port", first.id].spec["plugged"] is False
    with cloud.cloud.db.write() as tx:
        public.release_ports(tx, cloud.cloud, SERVER)
    free = member.show("port", first.id)
    assert (free["device_id"], free["device_owner"], free["status"]) == ("", "", "DOWN")
    assert member.client.get(member.path("port", second.id)).status == 404
    cloud.settle()
    assert ("port", second.id) not in agent.seen and not agent.seen["port", first.id].spec["plugged"]


def test_metadata_through_a_router(cloud, ctx, member, inside):
    router = member.make("router")
    member.add_subnet(router["id"], inside[1]["id"])
    (port,) = bind(cloud, ctx, [RequestedNic(network_id=inside[0]["id"])])
    with cloud.cloud.db.read() as tx:
        assert public.metadata_ports(tx, router["id"], port.fixed_ips[0][0]) == SERVER


def validate(cloud, ctx, requested):
    with cloud.cloud.db.read() as tx:
        return public.validate_requested(tx, ctx, requested)


def test_the_only_network(cloud, ctx, member, outside):
    assert validate(cloud, ctx, None) == [] and validate(cloud, ctx, "none") == []
    with pytest.raises(BadRequest):
        validate(cloud, ctx, "auto")
    network = member.make("network")
    assert validate(cloud, ctx, None) == []  # no subnet yet
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    assert validate(cloud, ctx, None) == [RequestedNic(network_id=network["id"])] == validate(cloud, ctx, "auto")
    member.make("network")
    with pytest.raises(Conflict, match="Multiple possible networks"):
        validate(cloud, ctx, None)


def test_requests_that_cannot_be(cloud, ctx, member, other, outside, inside):
    port = member.make("port", network_id=inside[0]["id"], device_id="x")
    bare = member.make("network")
    foreign = other.make("network")
    for nic, error, words in (
        (RequestedNic(port_id="none"), BadRequest, "could not be found"),
        (RequestedNic(port_id=port["id"]), Conflict, "still in use"),
        (RequestedNic(network_id=foreign["id"]), BadRequest, "could not be found"),
        (RequestedNic(network_id=bare["id"]), BadRequest, "requires a subnet"),
        (RequestedNic(network_id=outside["id"]), Forbidden, "external network"),
        (RequestedNic(network_id=inside[0]["id"], fixed_ip="10.0.0.3"), BadRequest, "already in use"),
        (RequestedNic(network_id=inside[0]["id"], fixed_ip="10.9.0.3"), BadRequest, "not a valid ip"),
        (RequestedNic(network_id=inside[0]["id"], fixed_ip="ten"), BadRequest, "Invalid fixed IP"),
    ):
        with pytest.raises(error, match=words):
            validate(cloud, ctx, [nic])


def test_security_groups(cloud, ctx, member, inside, agent):
    group = member.make("security_group", name="web")
    (port,) = bind(cloud, ctx, [RequestedNic(network_id=inside[0]["id"])], groups=["web"])
    assert port.security_groups == [(group["id"], "web")]
    with cloud.cloud.db.write() as tx:
        public.add_security_group(tx, cloud.cloud, ctx, SERVER, "default")
        public.remove_security_group(tx, cloud.cloud, ctx, SERVER, group["id"])
        assert [name for _, name in public.security_groups_of_servers(tx, [SERVER])[SERVER]] == ["default"]
        with pytest.raises(NotFound):
            public.remove_security_group(tx, cloud.cloud, ctx, SERVER, "web")
        with pytest.raises(NotFound):
            public.add_security_group(tx, cloud.cloud, ctx, SERVER, "nothing")
        public.quarantines.impose(tx, cloud.cloud, ctx, SERVER, "it scans others")
    cloud.settle()
    assert agent.seen["port", port.id].spec["quarantined"] is True


def test_taken_meanwhile(cloud, ctx, member, inside):
    port = member.make("port", network_id=inside[0]["id"])
    bind(cloud, ctx, [RequestedNic(port_id=port["id"])])
    with pytest.raises(Conflict, match="still in use"):
        bind(cloud, ctx, [RequestedNic(port_id=port["id"])], server="another")


def test_floating_ips_are_shown(cloud, ctx, member, inside, outside):
    router = member.make("router", external_gateway_info={"network_id": outside["id"]})
    member.add_subnet(router["id"], inside[1]["id"])
    (port,) = bind(cloud, ctx, [RequestedNic(network_id=inside[0]["id"])])
    fip = member.make("floatingip", floating_network_id=outside["id"], port_id=port.id)
    with cloud.cloud.db.read() as tx:
        (shown,) = public.ports_of_servers(tx, [SERVER])[SERVER]
        assert shown.floating_ips == {port.fixed_ips[0][0]: fip["floating_ip_address"]}
        assert public.get_port(tx, ctx, port.id) == shown
        assert public.find_subnets(tx, [inside[1]["id"]])[inside[1]["id"]].gateway_ip == "10.0.0.1"


def test_constant_queries(cloud, ctx, inside):
    def look():
        with cloud.cloud.db.read() as tx:
            public.ports_of_servers(tx, ["s1", "s2", "s3"])

    bind(cloud, ctx, [RequestedNic(network_id=inside[0]["id"])], server="s1")
    few = cloud.count_queries(look)
    bind(cloud, ctx, [RequestedNic(network_id=inside[0]["id"])] * 3, server="s2")
    assert cloud.count_queries(look) == few
