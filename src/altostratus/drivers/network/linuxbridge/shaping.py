# SPDX-License-Identifier: Apache-2.0
"""Bandwidth limits of guests' devices, as lines for `tc`. Pure.

To the guest: a token bucket on the tap. From the guest: the tap's incoming frames take a detour
through an IFB device with a token bucket; without IFB in the kernel a policer drops the excess.
"""

from collections.abc import Mapping

from altostratus.drivers.network.linuxbridge.execute import Command
from altostratus.drivers.network.linuxbridge.model import Shaper
from altostratus.drivers.network.linuxbridge.names import TAP_PREFIX


def ifb_of(tap: str) -> str:
    """Name of the detour of a tap."""
    return "ifb" + tap.removeprefix(TAP_PREFIX)


def plan_shaping(
    observed: Mapping[str, Shaper], wanted: Mapping[str, Shaper], present: frozenset[str], *, ifb: bool
) -> list[Command]:
    """Lines from one set of limits to another. `present` are the taps that exist afterwards."""
    lines: list[Command] = []
    for tap, shaper in observed.items():
        if tap not in wanted and tap in present:
            lines += _clear(shaper)
    for tap, shaper in wanted.items():
        if observed.get(tap) != shaper:
            lines += [*_clear(shaper), *_limits(shaper, ifb=ifb)]
    return lines


def _clear(shaper: Shaper) -> list[Command]:
    return [
        Command(f"qdisc del dev {shaper.tap} root", shaper.owner, tolerant=True),
        Command(f"qdisc del dev {shaper.tap} ingress", shaper.owner, tolerant=True),
    ]


def _limits(shaper: Shaper, *, ifb: bool) -> list[Command]:
    tap, owner = shaper.tap, shaper.owner
    lines = []
    if shaper.kbps_in:
        lines.append(Command(f"qdisc replace dev {tap} root {_bucket(shaper.kbps_in)}", owner))
    if shaper.kbps_out:
        lines.append(Command(f"qdisc add dev {tap} handle ffff: ingress", owner))
        everything = f"filter add dev {tap} parent ffff: protocol all prio 1 u32 match u32 0 0"
        if ifb:
            lines.append(Command(f"{everything} action mirred egress redirect dev {ifb_of(tap)}", owner))
            lines.append(Command(f"qdisc replace dev {ifb_of(tap)} root {_bucket(shaper.kbps_out)}", owner))
        else:
            limit = f"rate {shaper.kbps_out}kbit burst {_burst_bytes(shaper.kbps_out)}"
            lines.append(Command(f"{everything} police {limit} conform-exceed drop/ok", owner))
    return lines


def _bucket(kbps: int) -> str:
    return f"tbf rate {kbps}kbit burst {_burst_bytes(kbps)} latency 50ms"


def _burst_bytes(kbps: int) -> int:
    """Ten milliseconds of traffic, but never less than one large segmented packet."""
    return max(kbps * 1000 // 8 // 100, 65536 + 1024)
