# SPDX-License-Identifier: Apache-2.0
"""Every relative link of our pages leads to a file, and to a heading if it names one."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md"), *ROOT.glob("changes/*.md")])


@cache
def headings(page: Path) -> set[str]:
    """Anchors as those who show Markdown make them of headings."""
    lines = [line.lstrip("#").strip().lower() for line in page.read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line).replace(" ", "-") for line in lines}


def links(page: Path) -> list[tuple[str, str]]:
    """(file, heading) of each link that is not to another site."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    parts = [link.partition("#") for link in found if "://" not in link]
    return [(file, heading) for file, _, heading in parts]


def test_there_are_links():
    assert sum(len(links(page)) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for file, heading in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"there is no {file}"
        assert not heading or heading in headings(target), f"{file} has no heading #{heading}"
