# SPDX-License-Identifier: Apache-2.0
"""The official clients, run in this process: a start of Python for each of many commands would take minutes."""

import contextlib
import io
import json
import logging
import os
import shlex
from collections.abc import Callable, Mapping
from unittest import mock

from openstackclient.shell import OpenStackShell
from swiftclient.shell import main as swift_main

from conformance.coverage.steps import Memory, Result, Typed, filled, first_line, learn

# (exit status, standard output, standard error)
Ended = tuple[int, str, str]


def run_command(step: Typed, environment: Mapping[str, str], memory: Memory) -> Result:
    """Type one command with credentials from `environment` (`OS_*`)."""
    argv = shlex.split(filled(step.line, memory))
    if step.keep:
        argv += ["-f", "json"]
    status, said, complaint = swift(argv, environment) if argv[0] == "swift" else openstack(argv, environment)
    if status != 0 and not (step.says and complaint.startswith(step.says)):
        return Result(False, first_line(complaint))
    try:
        learn(step.keep, json.loads(said) if step.keep else None, memory)
    except (LookupError, ValueError) as error:
        return Result(False, f"the output lacks {error}")
    return Result(True, "")


def openstack(argv: list[str], environment: Mapping[str, str]) -> Ended:
    return _run(lambda: OpenStackShell().run(argv), environment)


def swift(argv: list[str], environment: Mapping[str, str]) -> Ended:
    """`argv` begins with the program's name."""
    return _run(lambda: swift_main(argv) or 0, environment)


def _run(program: Callable[[], object], environment: Mapping[str, str]) -> Ended:
    ended: object
    said, complaint = io.StringIO(), io.StringIO()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    with (
        mock.patch.dict(os.environ, clean | dict(environment), clear=True),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complaint),
    ):
        try:
            ended = program()
        except SystemExit as error:  # how argparse ends
            ended = error.code
        finally:
            logging.getLogger().handlers.clear()
    if isinstance(ended, int):
        return ended, said.getvalue(), complaint.getvalue()
    return 1, said.getvalue(), complaint.getvalue() + str(ended)  # what sys.exit makes of it
