# SPDX-License-Identifier: Apache-2.0
"""The object store's commands of the official client, and those of `swift`, each with all that it needs made before."""

from conformance.coverage.steps import Typed

_SWIFT = ("auth", "capabilities", "copy", "delete", "download", "info", "list", "post", "stat", "tempurl", "upload")
COMMAND_NAMES = (
    *(f"container {verb}" for verb in ("create", "delete", "list", "save", "set", "show", "unset")),
    *(f"object {verb}" for verb in ("create", "delete", "list", "save", "set", "show", "unset")),
    *(f"object store account {verb}" for verb in ("set", "show", "unset")),
    *(f"swift {verb}" for verb in _SWIFT),
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
    "swift auth",
    "swift capabilities",
    "swift info",
    "swift post --meta Colour:green --read-acl .r:* shelf",
    "swift upload --object-name notes.txt shelf {files}/notes.txt",
    "swift upload --use-slo --segment-size 10 --object-name hills.txt shelf {files}/hills.txt",
    "swift post --header X-Delete-After:3600 shelf notes.txt",
    "swift stat",
    "swift stat shelf notes.txt",
    "swift list --long --total shelf",
    "swift copy --destination /shelf/copied.txt shelf notes.txt",
    "swift download --output {files}/again.txt shelf hills.txt",
    "swift tempurl GET 60 /v1/AUTH_x/shelf/notes.txt a-key",
    "swift delete shelf",
    "swift delete shelf_segments",
)
COMMANDS = tuple(Typed(line, by="demo") for line in _TYPED)
