# SPDX-License-Identifier: Apache-2.0
"""Every call of upstream's API reference is there. The list lies beside the checkout, or where ALTO_YARDSTICK says."""

import os
import re
from pathlib import Path

import pytest

from altostratus.services.identity.service import SERVICE

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "yardstick"
LIST = Path(os.environ.get("ALTO_YARDSTICK", _BESIDE)) / "api-ref-keystone.txt"
# the reference says protocol where upstream's code, and its clients, say protocols
_MISPRINT = ("/protocol/", "/protocols/")
_PLACE = re.compile(r"\{[^}]+\}")


def calls():
    return [tuple(line.split(maxsplit=1)) for line in LIST.read_text().splitlines() if line.strip()]


def ours():
    """Methods by path, names of places left out; what can be got can be asked for by HEAD."""
    found: dict[str, set[str]] = {}
    for op in SERVICE.operations():
        path = _PLACE.sub("{}", (op.resource.path or "") + op.path)
        found.setdefault(path, set()).update({op.method, "HEAD"} if op.method == "GET" else {op.method})
    return found


@pytest.mark.skipif(not LIST.exists(), reason=f"{LIST} is not here; set ALTO_YARDSTICK to the folder that has it")
def test_every_call_is_offered(cloud):
    offered, missing, broken = ours(), [], []
    for method, template in calls():
        path = _PLACE.sub("{}", template.partition("?")[0].removeprefix("/identity").removeprefix("/v3")).replace(
            *_MISPRINT
        )
        if method not in offered.get(path, ()):
            missing.append(f"{method} {template}")
            continue
        # nothing of that name exists: a refusal with words, never an accident
        answer = cloud.admin.request(method, f"/identity/v3{path.replace('{}', 'nothing')}", {})
        if answer.status in (405, 500, 501):
            broken.append(f"{method} {template}: {answer.status}")
    assert (missing, broken) == ([], [])
