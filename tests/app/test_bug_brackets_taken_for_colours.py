# SPDX-License-Identifier: Apache-2.0
"""Bug: of "another port: [cloud] port = 8781" the section was not shown, as it looked like the name of a colour."""

import pytest
import typer

from altostratus.cli.screen import fail, say

SENTENCE = "write into /a[/b]/c:  [cloud] port = 8781"


def test_sentences_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    say(SENTENCE)
    say(SENTENCE, "policy")
    with pytest.raises(typer.Exit):
        fail(SENTENCE)
    assert capsys.readouterr().err == f"{SENTENCE}\npolicy: {SENTENCE}\nalto: {SENTENCE}\n"
