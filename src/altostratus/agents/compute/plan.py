# SPDX-License-Identifier: Apache-2.0
"""Pure: what a pass has to do, when to try again, and when not to wait for a guest any longer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from altostratus.contracts.host_api import Key, Wanted

KIND = "server"

# A tap or a volume that is about to appear is worth a quick second look; a broken host is not.
_FIRST_RETRY_S = 0.1
_RETRY_FACTOR = 1.7
_LONGEST_RETRY_S = 30.0


@dataclass(frozen=True)
class Pass:
    """Rows to bring about or to make absent, and ids on the machine that no row names."""

    rows: list[Wanted]
    leftovers: list[str]


def plan_pass(wanted: Mapping[Key, Wanted], changed: Collection[Key], present: Collection[str]) -> Pass:
    """`present` are the servers on the machine, or nothing when leftovers are not asked for."""
    rows = [wanted[key] for key in sorted(changed) if key.kind == KIND and key in wanted]
    leftovers = [server_id for server_id in sorted(present) if Key(KIND, server_id) not in wanted]
    return Pass(rows, leftovers)


def plan_retry_s(attempt: int) -> float:
    """Seconds to wait after failure number `attempt` (from 1)."""
    return float(min(_LONGEST_RETRY_S, _FIRST_RETRY_S * _RETRY_FACTOR ** (attempt - 1)))


def must_hurry(doing: Wanted | None, newer: Wanted) -> bool:
    """Whether the newer row makes it pointless to wait for the guest's cooperation in the one at work.

    It does when the server is to go, or to be reset without asking the guest.
    """
    if doing is None or doing.spec is None:
        return False
    if newer.spec is None:
        return True
    reset = newer.spec.get("reboot_kind") == "hard"
    return reset and newer.spec.get("reboot_token") != doing.spec.get("reboot_token")
