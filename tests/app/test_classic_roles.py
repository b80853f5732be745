# SPDX-License-Identifier: Apache-2.0
"""The five classic roles (requirements IDN-14 to IDN-18): one test for each sentence about them."""

import pytest

from altostratus.app import classic_roles
from altostratus.app.policy_files import PolicyOptions, PolicyPlaces
from altostratus.app.policy_state import apply_set, is_applied, kept_rules, remove_set
from altostratus.cli.policy import make_roles, remove_roles
from altostratus.kernel import policy as module
from tests.services.identity.conftest import BASE

SET = classic_roles.NAME
NETWORK = "/network/v2.0"
EVERYBODY = ("itsec", "projectmanager", "netadmin", "developer")


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(module, "_RELOAD_EVERY_S", 0.0)


@pytest.fixture
def places(cloud):
    return PolicyPlaces(cloud.directory / "policy", PolicyOptions(config_root=""))


@pytest.fixture
def ask(cloud):
    def asked(method, path, body=None):
        answer = cloud.admin.request(method, BASE + path, body)
        assert answer.status < 300, answer.text
        return answer.json

    return asked


@pytest.fixture
def classic(cloud, places, ask):
    make_roles(SET, ask)
    apply_set(SET, places)
    return cloud


@pytest.fixture
def server(classic):
    """An ACTIVE server of project blue, made by a developer."""
    developer = classic.person("developer")
    return developer.make_server(developer.make_image(), developer.make_network())


def make_external(cloud):
    """A network with public addresses, and the project's router into it."""
    admin = cloud.admin
    network = {"name": "public", "router:external": True, "provider:network_type": "flat"}
    network |= {"provider:physical_network": "public"}
    made = admin.post(f"{NETWORK}/networks", {"network": network})
    assert made.status == 201, made.text
    subnet = {"network_id": made.json["network"]["id"], "ip_version": 4, "cidr": "203.0.113.0/24"}
    assert admin.post(f"{NETWORK}/subnets", {"subnet": subnet}).status == 201
    return made.json["network"]["id"]


def grant(cloud, person, role, user, place=None, method="PUT"):
    place = place or f"projects/{cloud.project('blue')}"
    return person.client.request(method, f"{BASE}/{place}/users/{user}/roles/{cloud.role_id(role)}").status


# the set


def test_the_five_roles_exist_as_predefined_roles_with_matching_policy(classic, places):
    names = {one["name"] for one in classic.admin.get(f"{BASE}/roles").json["roles"]}
    assert {"admin", *EVERYBODY} <= names
    files = {path.name for path in (places.directory / SET).iterdir()}
    assert {"identity.yaml", "compute.yaml", "network.yaml", "image.yaml"} <= files


def test_applying_twice_changes_nothing(classic, places, ask):
    before = {path: path.read_bytes() for path in (places.directory / SET).iterdir()}
    make_roles(SET, ask)
    apply_set(SET, places)
    assert {path: path.read_bytes() for path in (places.directory / SET).iterdir()} == before


def test_a_role_of_the_operator_that_implies_more_is_told(cloud, ask, capsys):
    role = cloud.make("roles", "role", name="netadmin")["id"]
    ask("PUT", f"/roles/{role}/implies/{cloud.role_id('manager')}")
    make_roles(SET, ask)
    assert "your role netadmin implies manager" in " ".join(capsys.readouterr().err.split())


def test_rules_of_the_operator_win_and_are_told(classic, places):
    own = places.directory / "network.yaml"
    own.write_text('"create_floatingip": "role:admin"\n')
    assert kept_rules(SET, places) == {"create_floatingip": own}
    external = make_external(classic)
    body = {"floatingip": {"floating_network_id": external}}
    assert classic.person("netadmin").client.post(f"{NETWORK}/floatingips", body).status == 403
    assert own.read_text() == '"create_floatingip": "role:admin"\n'


def test_removing_brings_the_rights_of_before_back(classic, places, ask):
    image = classic.person("developer").make_image()
    manager = classic.person("projectmanager")
    assert manager.try_server(image, "none").status == 202
    assert is_applied(SET, places) and remove_set(SET, places) and not is_applied(SET, places)
    assert manager.try_server(image, "none").status == 403


def test_removing_keeps_roles_that_somebody_has(classic, places, ask):
    classic.person("netadmin")
    remove_set(SET, places)
    remove_roles(SET, ask)
    names = {one["name"] for one in classic.admin.get(f"{BASE}/roles").json["roles"]}
    assert "netadmin" in names and "admin" in names
    assert not {"itsec", "developer", "projectmanager"} & names


@pytest.mark.parametrize("role", ["member", "reader", "manager"])
def test_who_has_none_of_these_roles_keeps_the_rights_of_before(cloud, places, ask, role):
    person, image = cloud.person(role), cloud.person("member").make_image()
    asked = [
        lambda: person.client.post(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}}),
        lambda: person.try_server(image, "none"),
        lambda: person.client.get(f"{BASE}/users/{person.user_id}"),
        lambda: person.client.get(f"{BASE}/roles"),
        lambda: person.get("/servers?all_tenants=1"),
    ]
    before = [question().status for question in asked]
    make_roles(SET, ask)
    apply_set(SET, places)
    assert [question().status for question in asked] == before


# admin: global


def test_admin_is_global(classic, server):
    assert classic.admin.get(f"/compute/v2.1/servers/{server}").status == 200
    assert classic.admin.get(f"{BASE}/domains").status == 200
    assert classic.admin.post(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}}).status == 201


# itsec: security, of every project


def test_itsec_sees_servers_of_every_project(classic, server):
    itsec = classic.person("itsec", "security")
    listed = itsec.read("/servers/detail?all_tenants=1")["servers"]
    assert [one["id"] for one in listed] == [server]


def test_itsec_changes_nothing_else(classic, server):
    itsec = classic.person("itsec", "blue")
    assert itsec.delete(f"/servers/{server}").status == 403
    assert itsec.act(server, "os-stop").status == 403
    assert itsec.client.post(f"{NETWORK}/networks", {"network": {"name": "n"}}).status == 403


# projectmanager: adds users to a project, terminates and starts instances, queries project images


@pytest.mark.parametrize("role", classic_roles.GRANTABLE)
def test_projectmanager_adds_users_to_its_project_and_takes_them_out(classic, role):
    manager, user = classic.person("projectmanager"), classic.user("new")
    assert grant(classic, manager, role, user) == 204
    assert grant(classic, manager, role, user, method="HEAD") == 204
    assert classic.log_in_as("new", "blue")
    assert grant(classic, manager, role, user, method="DELETE") == 204


def test_projectmanager_s_right_to_add_users_is_explained(classic):
    classic.person("projectmanager")
    asked = "user=projectmanager-of-blue&operation=identity:create_grant&project=blue"
    found = classic.admin.get(f"/alto/v1/policy/explanation?{asked}").json["explanation"]
    assert found["allowed"] and [one["role"] for one in found["because"]] == ["projectmanager"]
    assert found["source"].endswith("classic-roles/identity.yaml")


def test_projectmanager_finds_roles_and_users_of_its_domain(classic):
    manager = classic.person("projectmanager").client
    assert manager.get(f"{BASE}/roles?name=developer").json["roles"]
    assert manager.get(f"{BASE}/users/{classic.user('new')}").json["user"]["name"] == "new"
    domain = classic.make("domains", "domain", name="other")["id"]
    stranger = classic.make_user("stranger", domain_id=domain)["id"]
    assert manager.get(f"{BASE}/users/{stranger}").status == 403
    found = manager.get(f"{BASE}/users?name=new&domain_id=default").json["users"]
    assert [one["name"] for one in found] == ["new"]
    for query in ("", f"?domain_id={domain}", f"?domain_id={domain}&domain_id=default", "?domain_id=None", "?name=new"):
        assert manager.get(f"{BASE}/users{query}").status == 403, query
    assert manager.get(f"{BASE}/domains?domain_id=default").status == 403


@pytest.mark.parametrize("role", ["admin", "itsec", "manager", "service"])
def test_projectmanager_never_gives_or_takes_a_role_above_its_own(classic, role):
    manager, user = classic.person("projectmanager"), classic.user("new")
    assert grant(classic, manager, role, user) == 403
    assert grant(classic, manager, role, manager.user_id) == 403
    classic.grant(role, user=user, project=classic.project("blue"))
    assert grant(classic, manager, role, user, method="DELETE") == 403


def test_projectmanager_gives_roles_of_its_own_project_only(classic):
    manager, user = classic.person("projectmanager"), classic.user("new")
    places = [f"projects/{classic.project('green')}", "domains/default", "system"]
    assert [grant(classic, manager, "developer", user, place) for place in places] == [403, 403, 403]


def test_projectmanager_gives_nothing_that_is_inherited_by_projects_below(classic):
    manager, user = classic.person("projectmanager"), classic.user("new")
    path = f"{BASE}/OS-INHERIT/projects/{classic.project('blue')}/users/{user}/roles/{classic.role_id('developer')}"
    assert manager.client.put(f"{path}/inherited_to_projects").status == 403


def test_projectmanager_gives_no_role_of_a_domain_whatever_its_name(classic):
    """Such a role of a harmless name could imply a powerful one."""
    trap = classic.make("roles", "role", name="developer", domain_id="default")["id"]
    assert classic.admin.put(f"{BASE}/roles/{trap}/implies/{classic.role_id('manager')}").status == 201
    manager, user = classic.person("projectmanager"), classic.user("new")
    path = f"{BASE}/projects/{classic.project('blue')}/users/{user}/roles/{trap}"
    assert manager.client.put(path).status == 403


def test_projectmanager_does_not_climb_by_groups_or_implications(classic):
    manager = classic.person("projectmanager")
    group = classic.make("groups", "group", name="bosses")["id"]
    role = classic.role_id("admin")
    assert manager.client.put(f"{BASE}/groups/{group}/users/{manager.user_id}").status == 403
    assert manager.client.put(f"{BASE}/roles/{classic.role_id('developer')}/implies/{role}").status == 403
    assert manager.client.patch(f"{BASE}/roles/{role}", {"role": {"name": "developer"}}).status == 403


def test_projectmanager_starts_and_terminates_servers(classic, server):
    manager = classic.person("projectmanager")
    manager.do(server, "os-stop")
    manager.do(server, "os-start")
    image = classic.person("developer").make_image("other")
    network = manager.client.get(f"{NETWORK}/networks?name=inside").json["networks"][0]["id"]
    started = manager.make_server(image, network)
    assert manager.delete(f"/servers/{started}").status == 204
    assert manager.delete(f"/servers/{server}").status == 204


def test_projectmanager_queries_images_of_its_project(classic):
    image = classic.person("developer").make_image()
    manager = classic.person("projectmanager").client
    assert manager.get(f"/image/v2/images/{image}").status == 200
    assert [one["id"] for one in manager.get("/image/v2/images").json["images"]] == [image]
    assert manager.delete(f"/image/v2/images/{image}").status == 403


def test_projectmanager_touches_no_other_project(classic, server):
    stranger = classic.person("projectmanager", "green")
    assert stranger.delete(f"/servers/{server}").status == 404
    assert stranger.act(server, "os-stop").status == 404


# netadmin: allocates and assigns addresses, creates and modifies firewall rules, in its project


def test_netadmin_allocates_and_assigns_addresses(classic, server):
    external = make_external(classic)
    developer, netadmin = classic.person("developer"), classic.person("netadmin").client
    port = developer.ports_of(server)[0]
    router = developer.client.post(
        f"{NETWORK}/routers", {"router": {"name": "r", "external_gateway_info": {"network_id": external}}}
    ).json["router"]["id"]
    subnet = port["fixed_ips"][0]["subnet_id"]
    developer.client.put(f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    made = netadmin.post(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": external}})
    assert made.status == 201, made.text
    address = made.json["floatingip"]["id"]
    assigned = netadmin.put(f"{NETWORK}/floatingips/{address}", {"floatingip": {"port_id": port["id"]}})
    assert assigned.status == 200, assigned.text
    assert netadmin.delete(f"{NETWORK}/floatingips/{address}").status == 204


def test_netadmin_creates_and_modifies_firewall_rules(classic):
    netadmin = classic.person("netadmin").client
    made = netadmin.post(f"{NETWORK}/security-groups", {"security_group": {"name": "web"}})
    assert made.status == 201, made.text
    group = made.json["security_group"]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 80,
            "port_range_max": 80}  # fmt: skip
    added = netadmin.post(f"{NETWORK}/security-group-rules", {"security_group_rule": rule})
    assert added.status == 201, added.text
    assert netadmin.delete(f"{NETWORK}/security-group-rules/{added.json['security_group_rule']['id']}").status == 204
    assert netadmin.put(f"{NETWORK}/security-groups/{group}", {"security_group": {"name": "x"}}).status == 200
    assert netadmin.delete(f"{NETWORK}/security-groups/{group}").status == 204


def test_netadmin_works_at_the_level_of_its_project(classic):
    group = classic.person("netadmin").client.post(f"{NETWORK}/security-groups", {"security_group": {"name": "web"}})
    stranger = classic.person("netadmin", "green").client
    path = f"{NETWORK}/security-groups/{group.json['security_group']['id']}"
    assert stranger.put(path, {"security_group": {"name": "mine"}}).status == 404
    assert stranger.delete(path).status == 404


def test_netadmin_does_no_more_than_that(classic, server):
    netadmin = classic.person("netadmin")
    assert netadmin.delete(f"/servers/{server}").status == 403
    assert netadmin.client.post(f"{NETWORK}/networks", {"network": {"name": "n"}}).status == 403
    assert grant(classic, netadmin, "developer", classic.user("new")) == 403


# developer: the default role


def test_developer_is_the_default_role_for_everyday_work(classic, server):
    developer = classic.person("developer")
    developer.do(server, "os-stop")
    assert developer.make_volume()
    assert developer.make_image("mine")
    assert developer.delete(f"/servers/{server}").status == 204


def test_developer_leaves_addresses_and_firewalls_to_the_netadmin(classic):
    external = make_external(classic)
    developer = classic.person("developer").client
    asked = [
        developer.post(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": external}}),
        developer.post(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}}),
    ]
    assert [one.status for one in asked] == [403, 403]
    assert all("netadmin" in one.text for one in asked)


def test_developer_adds_nobody_to_the_project(classic):
    assert grant(classic, classic.person("developer"), "developer", classic.user("new")) == 403


def test_developer_and_netadmin_together_may_both(classic):
    classic.grant("netadmin", user=classic.user("both"), project=classic.project("blue"))
    classic.grant("developer", user=classic.user("both"), project=classic.project("blue"))
    both = classic.log_in_as("both", "blue").client
    assert both.post(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}}).status == 201
    assert both.post(f"{NETWORK}/networks", {"network": {"name": "n"}}).status == 201
