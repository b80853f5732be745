# SPDX-License-Identifier: Apache-2.0
"""How the command speaks: sentences on standard error, results on standard output."""

import sys
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

# a file or a pipe has no edge: nothing is cut off there
_PIPE_WIDTH = 200
out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, highlight=False)


def fail(sentence: str, status: int = 1) -> NoReturn:
    """End with a sentence that says what is wrong and what to do."""
    say(sentence, "alto", "red")
    raise typer.Exit(status)


def say(sentence: str, label: str = "", style: str = "yellow") -> None:
    """As it is: brackets of options and paths are no markup. The label stands before it, in colour."""
    err.print(Text.assemble((f"{label}: ", style) if label else "", sentence), soft_wrap=True)


def interactive() -> bool:
    return sys.stderr.isatty()
