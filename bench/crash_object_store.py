# SPDX-License-Identifier: Apache-2.0
"""Kills the control process of a cloud of its own while clients write objects, and looks for what was lost.

Three directories are the disks; now and then one is wiped, or bits are flipped in its files. Ends with 1 if anything
that was acknowledged is not there, whole, or if anything leaked.
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
    parser.add_argument("--flips", type=int, default=2, help="how often bits are flipped in files of a disk")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args()
    cloud = PrivateCloud()
    disks = make_disks(cloud)
    with cloud:
        trial = Trial(cloud, disks, seed=asked.seed)
        trial.begin(asked.clients)
        harm(trial, asked)
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


def harm(trial: Trial, asked: argparse.Namespace) -> None:
    """Spread over the time; what was done to a disk is mended before the next one."""
    dice, began = random.Random(asked.kills), time.monotonic()
    moments = [(dice.uniform(0, asked.seconds), "kill") for _ in range(asked.kills)]
    for what, count in (("wipe", asked.wipes), ("flip", asked.flips)):
        moments += [(asked.seconds * (number + 1) / (count + 1), what) for number in range(count)]
    for moment, what in [*sorted(moments), (asked.seconds, "end")]:
        time.sleep(max(_LEAST_PAUSE_S, began + moment - time.monotonic()))
        if what == "kill":
            trial.kill()
        elif what == "wipe":
            trial.wipe()
            time.sleep(_LEAST_PAUSE_S)
            trial.replicate()
        elif what == "flip":
            trial.flip_bits()


if __name__ == "__main__":
    sys.exit(main())
