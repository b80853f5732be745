# SPDX-License-Identifier: Apache-2.0
"""docs/identity.md and its translation: the same commands, and they work as typed (IDN-01 to 13, 19 to 23, 26, 28)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system import quick_client

DOCS = Path(__file__).parents[2] / "docs"
REFUSED = "# refused"


def commands(page: Path) -> list[str]:
    """Lines after `$` in the fenced blocks of a page."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def meaning(line: str) -> str:
    return re.sub(r"\s+#.*", " " + REFUSED if line.endswith((REFUSED, "# 被拒绝")) else "", line)


def test_both_languages_type_the_same():
    english, chinese = (list(map(meaning, commands(DOCS / name))) for name in ("identity.md", "zh/identity.md"))
    assert len(english) > 50
    assert chinese == english


@pytest.fixture
def programs(tmp_path):
    """A directory that has the official client as `openstack`."""
    socket, program = tmp_path / "client.sock", tmp_path / "bin" / "openstack"
    program.parent.mkdir()
    quick_client.write_program(program, socket)
    argv = [sys.executable, "-W", "ignore", quick_client.__file__, str(socket)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        yield program.parent
        server.terminate()


@pytest.mark.skipif(os.geteuid() != 0, reason="a cloud is started by root")
def test_the_commands_work_as_typed(programs):
    """In one shell; each line that is refused must be, and no other may."""
    script = ["export COLUMNS=120"]
    for line in map(meaning, commands(DOCS / "identity.md")):
        command = line.removesuffix(REFUSED).rstrip()
        script.append(f"echo {quoted('$ ' + line)}")
        told = f"{{ echo {quoted('wrong: ' + line)}; exit 1; }}"
        script.append(f"if {command}; then {told}; fi" if line.endswith(REFUSED) else f"{command} || {told}")
    with PrivateCloud() as cloud:
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            env=cloud.environment | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:]
    for what in ("1 token issued", "2 request", "3 token verified", "4 quota", "5 work handed"):
        assert what in done.stdout


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
