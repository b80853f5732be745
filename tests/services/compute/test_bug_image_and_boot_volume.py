# SPDX-License-Identifier: Apache-2.0
"""A server with an image and, at boot index 0, a volume was refused: the image was given a boot disk as well.

Clients that always name an image (Tempest's device tagging test) mean the volume.
"""


def test_the_volume_boots_and_the_image_gets_no_disk(member, agent, image):
    volumes = [member.make_volume(imageRef=image), member.make_volume()]
    disks = [
        {"source_type": "volume", "uuid": volume, "destination_type": "volume", "boot_index": index}
        for index, volume in enumerate(volumes)
    ]
    server = member.make_server(image, "none", block_device_mapping_v2=disks)
    assert [(disk.source, disk.boot_index) for disk in agent.spec_of(server).disks] == [("volume", 0), ("volume", 1)]
    assert member.show(server)["image"] == ""
