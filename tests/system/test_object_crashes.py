# SPDX-License-Identifier: Apache-2.0
"""The control process dies again and again and a disk is wiped, while clients read and write objects on three disks."""

import time

import pytest

from altostratus.testing.object_trial import Trial, make_disks
from altostratus.testing.private_cloud import PrivateCloud

KILLS = 2


@pytest.mark.system_smoke
def test_what_was_acknowledged_is_there():
    cloud = PrivateCloud()
    disks = make_disks(cloud)
    with cloud:
        trial = Trial(cloud, disks)
        trial.begin(clients=3)
        for number in range(KILLS):
            time.sleep(2)
            if number == 1:
                trial.wipe()
            trial.kill()
        time.sleep(1)
        trial.end()
        trial.check()
        assert trial.wrong == []
        assert trial.summary()["operations acknowledged"] > 30, trial.summary()
