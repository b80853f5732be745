# SPDX-License-Identifier: Apache-2.0
"""Writes docs/coverage.md from docs/coverage/*.json, which `./dev coverage` makes by trying everything on a cloud.

`--check` says whether the committed page is fresh.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
RESULTS = ROOT / "docs" / "coverage"
HEADER = """# What works

Every call of OpenStack's API references and every command of its official clients, tried on a cloud with simulated
hosts by `./dev coverage`; made from those results by `tools/generate/coverage.py`, do not edit. A row says `works`,
with the status code that the call answered, or what went wrong. A call that upstream refuses for ever, such as those
about PKI tokens, works when it is refused in the same way. The operations of S3 are all that Amazon's client library
knows; one that is not offered was refused in so many words.

| service | calls that work | commands that work | S3 operations that work |
|---|---|---|---|
"""
# of results, and the headings of their tables
KINDS = {"calls": "call", "commands": "command", "s3": "S3 operation"}
STATES = {True: "works {}", False: "**fails**: {}", None: "not offered: {}"}


def page() -> str:
    services = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    text = HEADER
    for name, found in services.items():
        shares = (_share(found[kind]) if kind in found else "" for kind in KINDS)
        text += f"| [{name}](#{name}) | {' | '.join(shares)} |\n"
    for name, found in services.items():
        text += f"\n## {name}\n"
        for kind, heading in KINDS.items():
            if kind in found:
                text += _table(heading, sorted(found[kind].items(), key=_by_path if kind == "calls" else None))
    return text


def _share(results: dict[str, Any]) -> str:
    return f"{sum(one['ok'] is True for one in results.values())} of {len(results)}"


def _by_path(item: tuple[str, Any]) -> tuple[str, str]:
    method, _, path = item[0].partition(" ")
    return path, method


def _table(what: str, rows: list[tuple[str, Any]]) -> str:
    lines = [f"\n| {what} | state |", "|---|---|"]
    for name, result in rows:
        answer = result["answer"].replace("|", "\\|")
        state = STATES[result["ok"]].format(answer).strip()
        lines.append(f"| `{name}` | {state} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        sys.stderr.write("docs/coverage.md is not fresh; run: ./dev run tools/generate/coverage.py\n")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
