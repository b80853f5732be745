# SPDX-License-Identifier: Apache-2.0
"""Every job of compute for the generic tests: how it is asked for, and what must be true afterwards."""

from dataclasses import dataclass

from altostratus.services.compute.jobs import power
from altostratus.services.compute.jobs.create import CREATE
from altostratus.services.compute.jobs.create_image import CREATE_IMAGE
from altostratus.services.compute.jobs.delete import DELETE
from altostratus.services.compute.jobs.interfaces import ATTACH_INTERFACE, DETACH_INTERFACE
from altostratus.services.compute.jobs.rebuild import REBUILD
from altostratus.services.compute.jobs.rescue import RESCUE, UNRESCUE
from altostratus.services.compute.jobs.resize import CONFIRM_RESIZE, RESIZE, REVERT_RESIZE
from altostratus.services.compute.jobs.shelve import SHELVE, UNSHELVE
from altostratus.services.compute.jobs.volumes import ATTACH_VOLUME, DETACH_VOLUME
from altostratus.testing.jobs_suite import JobCase

from .people import Person
from .world import new_agents, open_cloud

ROOT_DISK = {"source_type": "image", "destination_type": "local", "boot_index": 0}
NEW_VOLUME = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}


@dataclass
class Story:
    """One server and what happens to it. `before` are the actions that put it into the state to begin from."""

    action: str = ""
    value: object = None
    before: tuple = ()

    def begin(self, cloud):
        member = Person(cloud, "member")
        image, network = member.make_image(), member.make_network()
        server = member.make_server(image, network)
        for name, value in self.before:
            member.do(server, name, value)
        return lambda: member.act(server, self.action, value_of(self.value, image))


def value_of(value, image):
    return {**value, "imageRef": image} if isinstance(value, dict) and "imageRef" in value else value


def only_server(cloud):
    """(its owner, the server as shown); None if there is none."""
    member = Person(cloud, "member")
    found = member.read("/servers/detail")["servers"]
    assert len(found) <= 1
    return member, found[0] if found else None


def state_is(status, power_state):
    """A check: the server shows `status` and its guest is what that says."""

    def check(cloud):
        _, shown = only_server(cloud)
        assert (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None), shown
        assert cloud.agents["compute"].driver.show_server(shown["id"]).power == power_state

    return check


def power_case(job, story, done, not_done):
    return JobCase(job, new_agents, open_cloud, story.begin, state_is(*done), state_is(*not_done))


RUNNING, STOPPED = ("ACTIVE", "running"), ("SHUTOFF", "stopped")
PAUSED, SUSPENDED = ("PAUSED", "paused"), ("SUSPENDED", "suspended")
RESIZED = ("VERIFY_RESIZE", "running")
STOP, PAUSE, SUSPEND = ("os-stop", None), ("pause", None), ("suspend", None)
GROW = ("resize", {"flavorRef": "1"})


# create and delete


def begin_create(cloud):
    member = Person(cloud, "member")
    image, network = member.make_image(), member.make_network()
    disks = [{**ROOT_DISK, "uuid": image}, NEW_VOLUME]
    return lambda: member.try_server(image, network, block_device_mapping_v2=disks, config_drive=True)


def created(cloud):
    member, shown = only_server(cloud)
    state_is(*RUNNING)(cloud)
    (volume,) = shown["os-extended-volumes:volumes_attached"]
    assert member.volume(volume["id"])["status"] == "in-use"
    assert [port["status"] for port in member.ports_of(shown["id"])] == ["ACTIVE"]


def nothing_held(cloud):
    """No guest, no port, no volume, no claim; a server may be there, in ERROR, to tell why."""
    member, shown = only_server(cloud)
    assert shown is None or shown["status"] == "ERROR"
    assert cloud.agents["compute"].driver.list_servers() == []
    ports = member.client.get("/network/v2.0/ports").json["ports"]
    assert [port for port in ports if port["device_owner"].startswith("compute")] == []
    assert member.client.get(f"/volume/v3/{member.client.project_id}/volumes").json["volumes"] == []
    provider = cloud.client("admin").get("/placement/resource_providers").json["resource_providers"][0]
    usages = cloud.client("admin").get(f"/placement/resource_providers/{provider['uuid']}/usages").json["usages"]
    assert set(usages.values()) <= {0}


def begin_delete(cloud):
    begin_create(cloud)()
    cloud.settle()
    member, shown = only_server(cloud)
    return lambda: member.delete(f"/servers/{shown['id']}")


def deleted(cloud):
    assert only_server(cloud)[1] is None
    nothing_held(cloud)


# volumes and interfaces


def with_volume(cloud):
    member = Person(cloud, "member")
    server = member.make_server(member.make_image(), member.make_network())
    return member, server, member.make_volume()


def begin_attach(cloud):
    member, server, volume = with_volume(cloud)
    body = {"volumeAttachment": {"volumeId": volume}}
    return lambda: member.post(f"/servers/{server}/os-volume_attachments", body)


def begin_detach(cloud):
    begin_attach(cloud)()
    cloud.settle()
    member, shown = only_server(cloud)
    volume = shown["os-extended-volumes:volumes_attached"][0]["id"]
    return lambda: member.delete(f"/servers/{shown['id']}/os-volume_attachments/{volume}")


def volume_is(status):
    def check(cloud):
        member, shown = only_server(cloud)
        (volume,) = member.client.get(f"/volume/v3/{member.client.project_id}/volumes").json["volumes"]
        assert member.volume(volume["id"])["status"] == status
        attached = 1 if status == "in-use" else 0
        assert len(shown["os-extended-volumes:volumes_attached"]) == attached
        assert len(cloud.agents["compute"].driver.show_server(shown["id"]).disks) == 1 + attached

    return check


def begin_plug(cloud):
    member = Person(cloud, "member")
    server = member.make_server(member.make_image(), member.make_network())
    second = member.make_network("second", "10.1.0.0/24")
    return lambda: member.post(f"/servers/{server}/os-interface", {"interfaceAttachment": {"net_id": second}})


def begin_unplug(cloud):
    begin_plug(cloud)()
    cloud.settle()
    member, shown = only_server(cloud)
    cards = member.read(f"/servers/{shown['id']}/os-interface")["interfaceAttachments"]
    return lambda: member.delete(f"/servers/{shown['id']}/os-interface/{cards[1]['port_id']}")


def cards_are(count):
    def check(cloud):
        member, shown = only_server(cloud)
        ports = member.ports_of(shown["id"])
        assert [port["status"] for port in ports] == ["ACTIVE"] * count
        assert len(cloud.agents["compute"].driver.show_server(shown["id"]).nics) == count

    return check


# images and sizes


def snapshots(count):
    def check(cloud):
        state_is(*RUNNING)(cloud)
        images = cloud.client("member").get("/image/v2/images").json["images"]
        assert [one["status"] for one in images if one["name"] == "snap"] == ["active"] * count

    return check


def resized_to(flavor, status, memory_mib):
    def check(cloud):
        state_is(*status)(cloud)
        _, shown = only_server(cloud)
        assert shown["flavor"]["original_name"] == flavor
        assert cloud.agents["compute"].driver.show_server(shown["id"]).memory_mib == memory_mib

    return check


def rebuilt_or_told(cloud):
    """A rebuild cannot be undone: it is ACTIVE as before, or in ERROR with the reason."""
    _, shown = only_server(cloud)
    assert shown["status"] in ("ACTIVE", "ERROR") and shown["OS-EXT-STS:task_state"] is None
    assert shown["status"] == "ACTIVE" or shown["fault"]["message"]


def shelved(cloud):
    _, shown = only_server(cloud)
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("SHELVED_OFFLOADED", None)
    assert cloud.agents["compute"].driver.list_servers() == []


def not_shelved(cloud):
    state_is(*RUNNING)(cloud)
    images = cloud.client("member").get("/image/v2/images").json["images"]
    assert [one["name"] for one in images] == ["mini"]


CASES = [
    JobCase(CREATE, new_agents, open_cloud, begin_create, created, nothing_held),
    JobCase(DELETE, new_agents, open_cloud, begin_delete, deleted, created),
    power_case(power.STOP, Story("os-stop"), STOPPED, RUNNING),
    power_case(power.START, Story("os-start", before=(STOP,)), RUNNING, STOPPED),
    power_case(power.PAUSE, Story("pause"), PAUSED, RUNNING),
    power_case(power.UNPAUSE, Story("unpause", before=(PAUSE,)), RUNNING, PAUSED),
    power_case(power.SUSPEND, Story("suspend"), SUSPENDED, RUNNING),
    power_case(power.RESUME, Story("resume", before=(SUSPEND,)), RUNNING, SUSPENDED),
    power_case(power.REBOOT_SOFT, Story("reboot", {"type": "SOFT"}), RUNNING, RUNNING),
    power_case(power.REBOOT_HARD, Story("reboot", {"type": "HARD"}), RUNNING, RUNNING),
    JobCase(ATTACH_VOLUME, new_agents, open_cloud, begin_attach, volume_is("in-use"), volume_is("available")),
    JobCase(DETACH_VOLUME, new_agents, open_cloud, begin_detach, volume_is("available"), volume_is("in-use")),
    JobCase(ATTACH_INTERFACE, new_agents, open_cloud, begin_plug, cards_are(2), cards_are(1)),
    JobCase(DETACH_INTERFACE, new_agents, open_cloud, begin_unplug, cards_are(1), cards_are(2)),
    JobCase(
        CREATE_IMAGE, new_agents, open_cloud, Story("createImage", {"name": "snap"}).begin, snapshots(1), snapshots(0)
    ),
    JobCase(
        REBUILD, new_agents, open_cloud, Story("rebuild", {"imageRef": ""}).begin, state_is(*RUNNING), rebuilt_or_told
    ),
    power_case(RESCUE, Story("rescue", {}), ("RESCUE", "running"), RUNNING),
    power_case(UNRESCUE, Story("unrescue", before=(("rescue", {}),)), RUNNING, ("RESCUE", "running")),
    JobCase(SHELVE, new_agents, open_cloud, Story("shelve").begin, shelved, not_shelved),
    JobCase(
        UNSHELVE, new_agents, open_cloud, Story("unshelve", before=(("shelve", None),)).begin, not_shelved, shelved
    ),
    JobCase(
        RESIZE, new_agents, open_cloud, Story(*GROW).begin, resized_to("m1.tiny", RESIZED, 512),
        resized_to("m1.mini", RUNNING, 128),
    ),
    JobCase(
        CONFIRM_RESIZE, new_agents, open_cloud, Story("confirmResize", before=(GROW,)).begin,
        resized_to("m1.tiny", RUNNING, 512), resized_to("m1.tiny", RESIZED, 512),
    ),
    JobCase(
        REVERT_RESIZE, new_agents, open_cloud, Story("revertResize", before=(GROW,)).begin,
        resized_to("m1.mini", RUNNING, 128), resized_to("m1.tiny", RESIZED, 512),
    ),
]  # fmt: skip
