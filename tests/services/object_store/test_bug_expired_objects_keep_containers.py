# SPDX-License-Identifier: Apache-2.0
"""A container whose objects had all expired could not be deleted until the reconciler had been there."""

import pytest

from altostratus.kernel import clock

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("bulk", [False, True])
def test_expired_objects_do_not_keep_their_container(swift, monkeypatch, bulk):
    swift.put("c")
    swift.put("c/o", b"1", X_Delete_After="10")
    assert swift("DELETE", "c").status == 409
    later = clock.unix() + 20
    monkeypatch.setattr(clock, "unix", lambda: later)
    if bulk:
        assert "Number Deleted: 1" in swift("POST", "?bulk-delete", "/c\n", Content_Type="text/plain").text
    else:
        assert swift("DELETE", "c").status == 204
    assert swift("HEAD").headers["x-account-bytes-used"] == "0"
