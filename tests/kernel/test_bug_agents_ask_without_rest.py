# SPDX-License-Identifier: Apache-2.0
"""In a new cloud, where nothing had ever been wanted, agents asked for changes without a pause: 100 % of a processor.

Their revision stayed 0, which asks for everything at once.
"""

import time

from altostratus.kernel.db import Db
from altostratus.kernel.desired import Desired


def test_an_agent_of_a_new_cloud_waits_for_the_first_wish(tmp_path):
    db = Db(f"sqlite:///{tmp_path}/db")
    db.create_all()
    desired = Desired(db)
    desired.hello("h", ["server"], {})
    first = desired.watch("h", ["server"], 0, 0)
    assert first.rows == [] and first.revision > 0
    began = time.monotonic()
    assert desired.watch("h", ["server"], first.revision, 0.3).rows == []
    assert time.monotonic() - began >= 0.3
    db.close()
