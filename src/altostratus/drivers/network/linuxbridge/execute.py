# SPDX-License-Identifier: Apache-2.0
"""Running `ip`, `bridge`, `tc` and `nft` in batches, and saying which line failed.

`ip -force -batch` goes on after a bad line and names it, so one broken object does not spoil the
others. `nft -f` is one transaction: all or nothing; the lines it complains about are returned.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from altostratus.drivers.network.linuxbridge.model import HOST, Owner
from altostratus.drivers.network.linuxbridge.netns import call_in_netns

Tool = Literal["ip", "bridge", "tc"]
TIMEOUT_S = 60.0
_FAILED_LINE = re.compile(r"Command failed .*?:(\d+)\s*$")
_TOO_LONG = "Message too long"
_PART_LINES = 500
_NFT_LINE = re.compile(r"^[^:\s]+:(\d+):\d+(?:-\d+)?: Error: (.*)$")


class Command(NamedTuple):
    """One line of a batch. A `tolerant` line may fail: the thing is already as wanted, or gone."""

    text: str
    owner: Owner = HOST
    tolerant: bool = False


class CommandFailure(NamedTuple):
    owner: Owner
    sentence: str


class MissingTool(Exception):
    """A host program is not installed. The message says what to install."""


_PACKAGES = {"ip": "iproute2", "bridge": "iproute2", "tc": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base"}


def run_tool(netns: str | None, argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a host program inside a namespace and wait. Raises MissingTool, OSError, TimeoutExpired."""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, errors="replace"
        )

    try:
        return call_in_netns(netns, run)
    except FileNotFoundError as error:
        if error.filename == argv[0]:
            package = _PACKAGES.get(argv[0], argv[0])
            raise MissingTool(f"The program '{argv[0]}' is missing: install the package {package}.") from error
        raise


def run_batch(tool: Tool, netns: str | None, commands: Sequence[Command]) -> list[CommandFailure]:
    """Run all commands in one process; returns the failures of those that were not tolerant."""
    if not commands:
        return []
    text = "".join(command.text + "\n" for command in commands)
    try:
        done = run_tool(netns, [tool, "-force", "-batch", "-"], text)
    except (OSError, subprocess.TimeoutExpired) as error:
        sentence = f"{tool} could not run in {netns or 'this namespace'}: {error}"
        return [CommandFailure(owner, sentence) for owner in dict.fromkeys(c.owner for c in commands)]
    if done.returncode == 0:
        return []
    return _batch_failures(tool, done.stderr, commands)


def _batch_failures(tool: Tool, stderr: str, commands: Sequence[Command]) -> list[CommandFailure]:
    failures: list[CommandFailure] = []
    said: list[str] = []
    for line in stderr.splitlines():
        match = _FAILED_LINE.search(line)
        if match is None:
            said.append(line.strip())
            continue
        command = commands[int(match[1]) - 1]
        if not command.tolerant:
            reason = " ".join(part for part in said if part) or "no reason given"
            failures.append(CommandFailure(command.owner, f"`{tool} {command.text}` failed: {reason}"))
        said = []
    return failures


def run_nft(netns: str, lines: Sequence[Command]) -> list[CommandFailure]:
    """Load all lines as one transaction. An empty list means that all of it is in force.

    Without real root the kernel takes a limited amount at once; then it becomes several transactions,
    of which the first closes what is not described yet.
    """
    failures = _load(netns, lines)
    if len(failures) == 1 and _TOO_LONG in failures[0].sentence:
        for part in _parts(lines):
            failures = _load(netns, part)
            if failures:
                break
    return failures


def _parts(lines: Sequence[Command]) -> Iterator[list[Command]]:
    part: list[Command] = []
    for line in lines:
        # within the braces of a statement nothing can be cut
        if len(part) >= _PART_LINES and not line.text.startswith((" ", "}")):
            yield part
            part = []
        part.append(line)
    yield part


def _load(netns: str, lines: Sequence[Command]) -> list[CommandFailure]:
    if not lines:
        return []
    text = "".join(line.text + "\n" for line in lines)
    try:
        done = run_tool(netns, ["nft", "-f", "-"], text)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [CommandFailure(HOST, f"nft could not run in {netns}: {error}")]
    if done.returncode == 0:
        return []
    failures = []
    for complaint in done.stderr.splitlines():
        match = _NFT_LINE.match(complaint)
        if match and 0 < int(match[1]) <= len(lines):
            line = lines[int(match[1]) - 1]
            failures.append(CommandFailure(line.owner, f"nftables refused '{line.text.strip()[:200]}': {match[2]}"))
    return failures or [CommandFailure(HOST, f"nftables refused the rules of {netns}: {done.stderr.strip()[:400]}")]
