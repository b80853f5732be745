# SPDX-License-Identifier: Apache-2.0
"""The object store's commands of the official client, each typed once with everything it needs made before."""

from conformance.coverage.steps import Typed

COMMAND_NAMES = (
    *(f"container {verb}" for verb in ("create", "delete", "list", "save", "set", "show", "unset")),
    *(f"object {verb}" for verb in ("create", "delete", "list", "save", "set", "show", "unset")),
    *(f"object store account {verb}" for verb in ("set", "show", "unset")),
)

FILES = {"notes.txt": "milk, bread, a telescope\n", "hills.txt": "a picture of hills\n"}

_TYPED = (
    "object store account set --property book='Moby Dick'",
    "object store account show",
    "object store account unset --property book",
    "container create shelf",
    "container create --public window",
    "container list --long --prefix s",
    "container set --property colour=green shelf",
    "container show shelf",
    "container unset --property colour shelf",
    "object create --name lists/notes.txt shelf {files}/notes.txt",
    "object create shelf {files}/hills.txt",
    "object list --long --prefix lists/ --delimiter / shelf",
    "object set --property author=me shelf lists/notes.txt",
    "object show shelf lists/notes.txt",
    "object unset --property author shelf lists/notes.txt",
    "object save --file {files}/again.txt shelf lists/notes.txt",
    "object create --name view.txt window {files}/hills.txt",
    "container save window",
    "object delete shelf lists/notes.txt",
    "container delete --recursive shelf window",
)
COMMANDS = tuple(Typed(line, by="demo") for line in _TYPED)
