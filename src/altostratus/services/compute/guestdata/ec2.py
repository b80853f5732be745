# SPDX-License-Identifier: Apache-2.0
"""The EC2-style tree: small texts under `/latest/meta-data/`."""

from typing import Any, Final

from altostratus.services.compute.guestdata.facts import Facts

VERSIONS: Final = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
)


def tree(facts: Facts) -> dict[str, Any]:
    """`meta-data` as nested mappings; texts at the leaves."""
    server = facts.server
    fixed, floating = facts.addresses(4), facts.floating()
    root = server.root_device_name or "vda"
    found: dict[str, Any] = {
        "ami-id": "ami-" + (server.image_id or server.id).replace("-", "")[:8],
        "ami-launch-index": str(server.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": _disks(facts, root),
        "hostname": facts.hostname,
        "instance-action": "none",
        "instance-id": "i-" + server.id.replace("-", "")[:8],
        "instance-type": server.flavor.get("original_name", ""),
        "local-hostname": facts.hostname,
        "local-ipv4": fixed[0] if fixed else "",
        "placement": {"availability-zone": server.availability_zone or ""},
        "public-hostname": facts.hostname,
        "public-ipv4": floating[0] if floating else "",
        "reservation-id": server.reservation_id,
        "security-groups": "\n".join(facts.group_names()),
    }
    if server.key_data:
        found["public-keys"] = {
            "0": {
                "_name": "0=" + server.key_data["name"],
                "openssh-key": server.key_data["public_key"].rstrip("\n") + "\n",
            }
        }
    return found


def _disks(facts: Facts, root: str) -> dict[str, str]:
    disks = {"ami": root, "root": f"/dev/{root}"}
    volumes = extras = 0
    for device in facts.devices:
        if device.boot_index == 0:
            continue
        path = f"/dev/{device.device_name}"
        if device.guest_format == "swap":
            disks["swap"] = path
        elif device.destination_type == "volume":
            disks[f"ebs{volumes}"] = path
            volumes += 1
        else:
            disks[f"ephemeral{extras}"] = path
            extras += 1
    return disks


def look_up(facts: Facts, parts: list[str]) -> str | None:
    """The text of `meta-data/<parts>`: a leaf, or the names in a folder; None if there is nothing."""
    node: Any = tree(facts)
    for part in parts:
        if not part:
            continue
        if not isinstance(node, dict) or part not in node or part == "_name":
            return None
        node = node[part]
    return _listing(node) if isinstance(node, dict) else str(node)


def _listing(node: dict[str, Any]) -> str:
    lines = []
    for name, value in sorted(node.items()):
        if name == "_name":
            continue
        if isinstance(value, dict):
            lines.append(value.get("_name") or name + "/")
        else:
            lines.append(name)
    return "\n".join(lines)
