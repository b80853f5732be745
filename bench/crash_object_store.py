# SPDX-License-Identifier: Apache-2.0
"""Kills the control process of a cloud of its own while clients write objects, and looks for what was lost.

Three directories are the disks; now and then one is wiped. Ends with 1 if anything that was acknowledged is not there,
whole, or if anything leaked.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from altostratus.testing.object_trial import Trial, make_disks
from altostratus.testing.private_cloud import PrivateCloud

_LEAST_PAUSE_S = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long clients work")
    parser.add_argument("--kills", type=int, default=20, help="how often the control process is killed meanwhile")
    parser.add_argument("--wipes", type=int, default=2, help="how often a disk is wiped meanwhile")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args()
    cloud = PrivateCloud()
    disks = make_disks(cloud)
    with cloud:
        trial = Trial(cloud, disks, seed=asked.seed)
        trial.begin(asked.clients)
        harm(trial, asked.seconds, asked.kills, asked.wipes)
        trial.end()
        trial.check()
    table = Table("what", "how many")
    for what, count in trial.summary().items():
        table.add_row(what, str(count))
    Console(width=80).print(table)
    for sentence in trial.wrong:
        print(sentence, file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps(trial.summary() | {"wrong": trial.wrong}))
    return 1 if trial.wrong else 0


def harm(trial: Trial, seconds: float, kills: int, wipes: int) -> None:
    """Spread over the time; after a wipe the disk is filled before the next one."""
    dice, began = random.Random(kills), time.monotonic()
    moments = sorted([(dice.uniform(0, seconds), "kill") for _ in range(kills)])
    moments += [(seconds * (number + 1) / (wipes + 1), "wipe") for number in range(wipes)]
    for moment, what in [*sorted(moments), (seconds, "end")]:
        time.sleep(max(_LEAST_PAUSE_S, began + moment - time.monotonic()))
        if what == "end":
            return
        if what == "kill":
            trial.kill()
        else:
            trial.wipe()
            time.sleep(_LEAST_PAUSE_S)
            trial.replicate()


if __name__ == "__main__":
    sys.exit(main())
