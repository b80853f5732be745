# SPDX-License-Identifier: Apache-2.0
"""Pages whose commands work as typed: lines after `$` in fenced console blocks, going on in lines after `>`.

A command that ends with `# refused` must be, and no other may. What stands in a block beside commands is what they
print; numbers, lines of tables and bars may differ.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.system import quick_client

DOCS = Path(__file__).parents[2] / "docs"
REFUSED = "# refused"
_REFUSED_IN_CHINESE = "# 被拒绝"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """The commands of a page as a shell takes them, without remarks but `# refused`."""
    return typed_in("\n".join(blocks(page)))


def typed_in(block: str) -> list[str]:
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(_without_remark(line.removeprefix("$ ")))
        elif line.startswith("> "):
            found[-1] += "\n" + line.removeprefix("> ")
    return found


def shown(page: Path) -> list[str]:
    """What the page says that commands print, line by line."""
    return [line for block in blocks(page) for line in block.splitlines() if line and not line.startswith(("$ ", "> "))]


def _without_remark(line: str) -> str:
    return re.sub(r"\s+#.*", " " + REFUSED if line.endswith((REFUSED, _REFUSED_IN_CHINESE)) else "", line)


def alike(line: str) -> str:
    """The same for lines that differ in ids, numbers, rulers and bars."""
    plain = re.sub(r"[0-9a-f]{32}|[0-9][0-9.,:]*", "0", line)
    return " ".join(re.sub(r"[─━┏┓┗┛┡┩├┤┬┴┼╇╈╋┳┻┃│█·]+", " ", plain).split())


def script_of(lines: list[str]) -> str:
    """One shell's work: it says every command and ends at the first that is not as it should be."""
    script = ["export COLUMNS=120"]
    for line in lines:
        command = line.removesuffix(REFUSED).rstrip()
        told = f"{{ echo {quoted('wrong: ' + line)}; exit 1; }}"
        script.append(f"echo {quoted('$ ' + line)}")
        if "\n" in command:  # a here document must keep its lines
            script += [command, f"[ $? = 0 ] || {told}"]
        else:
            script.append(f"if {command}; then {told}; fi" if line.endswith(REFUSED) else f"{command} || {told}")
    return "\n".join(script)


def run(
    lines: list[str], folder: Path, environment: Mapping[str, str], *, within: Sequence[str] = (), before: str = ":"
) -> str:
    """Type them into one shell that has the official clients, imported once; what it prints.

    folder   an empty one, for the clients
    within   words before the shell, for one that must be elsewhere; `before` is its first command
    """
    socket, programs = folder / "client.sock", folder / "bin"
    programs.mkdir()
    for name in quick_client.PROGRAMS:
        quick_client.write_program(programs / name, socket)
    script = f"""{before} || exit 1
{sys.executable} -W ignore {quick_client.__file__} {socket} > {folder}/client.log 2>&1 & clients=$!
trap 'kill $clients' EXIT
for _ in $(seq 100); do [ -S {socket} ] || sleep 0.1; done
{script_of(lines)}"""
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*within, "bash", "-c", script], env={**environment, "PATH": path}, cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
