# SPDX-License-Identifier: Apache-2.0
"""`alto demo --clean`: removes all that the demo made, in the opposite order."""

from altostratus.cli.api_client import ClientError
from altostratus.cli.demo.steps import NAMES, PUBLIC_NETWORK, Demo


def clean(demo: Demo) -> list[str]:
    """Remove everything; the names of what was there."""
    gone: list[str] = []
    user = demo.user
    server = user.find("compute", "/servers", "servers", NAMES["server"])
    if server is not None:
        for port in user.call("GET", "network", f"/ports?device_id={server['id']}")["ports"]:
            for address in user.call("GET", "network", f"/floatingips?port_id={port['id']}")["floatingips"]:
                user.delete("network", f"/floatingips/{address['id']}")
                gone.append(f"floating IP {address['floating_ip_address']}")
        user.delete("compute", f"/servers/{server['id']}")
        user.wait(
            lambda: user.find("compute", "/servers", "servers", NAMES["server"]),
            lambda found: found is None,
            "the server is still there",
        )
        gone.append(NAMES["server"])
    _clean_volume(demo, gone)
    _clean_network(demo, gone)
    user.delete("compute", f"/os-keypairs/{NAMES['keypair']}")
    gone.append(NAMES["keypair"])
    image = user.find("image", "/images", "images", NAMES["image"])
    if image is not None:
        user.delete("image", f"/images/{image['id']}")
        gone.append(NAMES["image"])
    return gone


def _clean_volume(demo: Demo, gone: list[str]) -> None:
    user = demo.user
    volume = user.find("volume", "/volumes", "volumes", NAMES["volume"])
    if volume is None:
        return
    user.wait(
        lambda: user.call("GET", "volume", f"/volumes/{volume['id']}")["volume"]["status"],
        lambda status: status in ("available", "error"),
        "the volume is still in use",
    )
    user.delete("volume", f"/volumes/{volume['id']}")
    user.wait(
        lambda: user.find("volume", "/volumes", "volumes", NAMES["volume"]),
        lambda found: found is None,
        "the volume is still there",
    )
    gone.append(NAMES["volume"])


def _clean_network(demo: Demo, gone: list[str]) -> None:
    user = demo.user
    router = user.find("network", "/routers", "routers", NAMES["router"])
    if router is not None:
        for port in user.call("GET", "network", f"/ports?device_id={router['id']}")["ports"]:
            if port["device_owner"] == "network:router_interface":
                body = {"port_id": port["id"]}
                user.call("PUT", "network", f"/routers/{router['id']}/remove_router_interface", body)
        user.delete("network", f"/routers/{router['id']}")
        gone.append(NAMES["router"])
    for path, many, name in (
        ("/networks", "networks", NAMES["network"]),
        ("/security-groups", "security_groups", NAMES["group"]),
    ):
        found = user.find("network", path, many, name)
        if found is not None:
            user.delete("network", f"{path}/{found['id']}")
            gone.append(name)
    public = demo.admin.find("network", "/networks", "networks", PUBLIC_NETWORK)
    if public is not None:
        try:
            demo.admin.delete("network", f"/networks/{public['id']}")
            gone.append(PUBLIC_NETWORK)
        except ClientError:
            pass  # others use it, too
