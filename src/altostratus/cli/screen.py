# SPDX-License-Identifier: Apache-2.0
"""How the command speaks: sentences on standard error, results on standard output."""

import sys
from typing import NoReturn

import typer
from rich.console import Console

# a file or a pipe has no edge: nothing is cut off there
_PIPE_WIDTH = 200
out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, highlight=False)


def fail(sentence: str, status: int = 1) -> NoReturn:
    """End with a sentence that says what is wrong and what to do."""
    err.print(f"[red]alto:[/red] {sentence}", soft_wrap=True)
    raise typer.Exit(status)


def say(sentence: str) -> None:
    err.print(sentence, soft_wrap=True)


def interactive() -> bool:
    return sys.stderr.isatty()
