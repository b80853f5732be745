# SPDX-License-Identifier: Apache-2.0
"""Names of namespaces and devices, and the checks that keep foreign text out of command files.

Everything that ends up in an `ip -batch`, `nft -f` or dnsmasq file passes through a function of this
module or through `ipaddress`: a name with a space or a newline would otherwise be a command.
"""

import hashlib
import ipaddress
import re

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}\Z")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_TAG = re.compile(r"[a-z0-9]{1,12}\Z")
_NOT_HOSTNAME = re.compile(r"[^A-Za-z0-9-]+")
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")

METADATA_ADDRESS = "169.254.169.254"
TAP_PREFIX = "tap"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def check_id(value: str) -> str:
    """The id itself, if it can be part of a name. Raises ValueError with a sentence."""
    if not _ID.match(value):
        raise ValueError(f"'{value[:80]}' is not an id: only letters, digits, '-' and '_' are allowed")
    return value


def is_id(value: str) -> bool:
    """Whether the text can be part of a name."""
    return _ID.match(value) is not None


def check_tag(value: str) -> str:
    if not _TAG.match(value):
        raise ValueError(f"cloud tag '{value[:80]}' must be 1 to 12 lower case letters and digits")
    return value


def check_tap(value: str) -> str:
    """A guest's device must begin with `tap`: the filters drop what comes from unknown `tap*` devices."""
    if not value.startswith(TAP_PREFIX) or not _DEVICE.match(value):
        raise ValueError(
            f"'{value[:80]}' cannot name a tap device: it must begin with 'tap' and have at most 15 letters"
        )
    return value


def check_mac(value: str) -> str:
    lowered = value.lower().replace("-", ":")
    if not _MAC.match(lowered):
        raise ValueError(f"'{value[:80]}' is not a MAC address such as fa:16:3e:00:00:01")
    return lowered


def check_address(value: str) -> str:
    """Canonical text of an IP address. Raises ValueError."""
    return str(ipaddress.ip_address(value))


def check_cidr(value: str) -> str:
    """Canonical text of a network; host bits are dropped as OpenStack does. Raises ValueError."""
    return str(ipaddress.ip_network(value, strict=False))


def hostname_text(value: str, fallback_address: str) -> str:
    """A DNS label for a port: its host name cleaned, or `host-10-0-0-5`."""
    cleaned = _NOT_HOSTNAME.sub("-", value).strip("-")[:63]
    return cleaned or "host-" + _NOT_HOSTNAME.sub("-", fallback_address).strip("-")


def domain_text(value: str, fallback: str) -> str:
    """A DNS domain without its trailing dot, or `fallback` when none or a malformed one is given."""
    stripped = value.strip(".")
    return stripped if _DOMAIN.match(stripped) else fallback


def digest(value: str) -> str:
    """Eight hexadecimal digits that stand for a longer text in a device name."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]


def short(identifier: str) -> str:
    """The first 11 characters of an id, as in OpenStack's own device names."""
    return check_id(identifier)[:11]


def bridge_of_network(network_id: str) -> str:
    return "brq" + short(network_id)


def bridge_of_physical(name: str) -> str:
    return "brp-" + digest(name)


def world_side(label: str) -> str:
    """Device of the world namespace for a physical network or an external network."""
    return label if _DEVICE.match(label) and len(label) <= 13 else "w-" + digest(label)


def router_netns(router_id: str) -> str:
    return "qrouter-" + check_id(router_id)


def dhcp_netns(network_id: str) -> str:
    return "qdhcp-" + check_id(network_id)
