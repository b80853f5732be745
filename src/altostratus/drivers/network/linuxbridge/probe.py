# SPDX-License-Identifier: Apache-2.0
"""What this kernel can do, found by trying it in a namespace that is removed again.

Module lists and versions lie; a rule that loads does not. Takes about a tenth of a second.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from altostratus.drivers.network.linuxbridge.execute import Command, MissingTool, run_batch, run_tool
from altostratus.drivers.network.linuxbridge.netns import list_netns

_NATIVE_RULES = """\
table bridge probe {
 map zones { typeof meta ibrname : ct zone; elements = { "x" : 1 } }
 chain a { type filter hook prerouting priority -300; ct zone set meta ibrname map @zones; }
 chain b { type filter hook forward priority 0; ct state established,related accept; }
}
"""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What was found. `conntrack` says how replies can be recognised, None: not at all."""

    conntrack: Literal["native", "mark"] | None
    br_netfilter: bool
    vlan: bool
    vxlan: bool
    ifb: bool
    police: bool
    tun: bool

    def names(self) -> list[str]:
        """For `NetworkInfo.capabilities`."""
        found = {
            f"conntrack-{self.conntrack}": self.conntrack is not None,
            "vlan": self.vlan,
            "vxlan": self.vxlan,
            "shaping-ifb": self.ifb,
            "shaping-police": self.police,
            "tap": self.tun,
        }
        return [name for name, there in found.items() if there]

    def advice(self) -> list[str]:
        """A sentence for each thing that is missing, with the command that would bring it."""
        found = {
            "Security groups cannot remember connections: run `modprobe nf_conntrack_bridge`"
            " (or `modprobe br_netfilter`).": self.conntrack is not None,
            "Guests cannot have network devices: run `modprobe tun`.": self.tun,
            "VLAN networks on a real card are not possible: run `modprobe 8021q`.": self.vlan,
            "Networks cannot span hosts: run `modprobe vxlan`.": self.vxlan,
            "Limits of what guests send are coarse: run `modprobe ifb numifbs=0`.": self.ifb,
        }
        return [sentence for sentence, there in found.items() if not there]


def probe_kernel(netns: str) -> Capabilities:
    """Try everything inside `netns`, which is created and deleted. Needs root of this user namespace.

    Raises MissingTool when iproute2 or nftables are not installed and OSError without the privilege.
    """
    if netns in list_netns():
        run_batch("ip", None, [Command(f"netns del {netns}")])
    failures = run_batch("ip", None, [Command(f"netns add {netns}")])
    if failures:
        raise OSError(f"network namespaces cannot be made: {failures[0].sentence}")
    try:
        return _probe_inside(netns)
    finally:
        run_batch("ip", None, [Command(f"netns del {netns}")])


def _probe_inside(netns: str) -> Capabilities:
    native = _accepts(netns, ["nft", "-f", "-"], _NATIVE_RULES)
    if not native and _load_module("nf_conntrack_bridge"):
        native = _accepts(netns, ["nft", "-f", "-"], _NATIVE_RULES)
    br_netfilter = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()
    devices = [
        Command("link add probe0 type bridge"),
        Command("link add link probe0 name probe1 type vlan id 7", ("probe", "vlan")),
        Command("link add probe2 type vxlan id 7 dstport 4789 nolearning", ("probe", "vxlan")),
    ]
    # asking for an IFB device would load its module with two devices in the root namespace; loading it by hand does not
    ifb = Path("/sys/module/ifb").exists() or _accepts_ifb_already(netns) or _load_module("ifb", "numifbs=0")
    failed = {failure.owner[1] for failure in run_batch("ip", netns, devices)}
    shaping = [
        Command("qdisc add dev probe0 handle ffff: ingress"),
        Command(
            "filter add dev probe0 parent ffff: protocol all prio 1 u32 match u32 0 0"
            " police rate 1mbit burst 64k conform-exceed drop/ok",
            ("probe", "police"),
        ),
    ]
    failed |= {failure.owner[1] for failure in run_batch("tc", netns, shaping)}
    return Capabilities(
        conntrack="native" if native else "mark" if br_netfilter else None,
        br_netfilter=br_netfilter,
        vlan="vlan" not in failed,
        vxlan="vxlan" not in failed,
        ifb=ifb,
        police="police" not in failed,
        tun=Path("/dev/net/tun").exists(),
    )


def _accepts(netns: str | None, argv: list[str], stdin: str = "") -> bool:
    return run_tool(netns, argv, stdin).returncode == 0


def _accepts_ifb_already(netns: str) -> bool:
    """A kernel with IFB built in has no module directory but knows the devices of the root namespace."""
    return Path("/sys/class/net/ifb0").exists() and _accepts(netns, ["ip", "link", "add", "probe3", "type", "ifb"])


def _load_module(name: str, *options: str) -> bool:
    try:
        return _accepts(None, ["modprobe", "-q", name, *options])
    except MissingTool:
        return False
