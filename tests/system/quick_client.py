# SPDX-License-Identifier: Apache-2.0
"""The official clients for tests that type many commands: imported once, forked for each.

`quick_client.py SOCKET` waits at a Unix socket; a program of one of the names in `PROGRAMS` as `write_program` makes it
hands over its arguments, environment, directory and standard streams, and ends with the status of the client's fork.
"""

import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("openstack", "swift")
_CALLER = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    said = json.dumps([sys.argv, dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(said).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(said)
    sys.exit(int(server.recv(16) or b"1"))
"""


def write_program(path: Path, socket_path: Path) -> None:
    path.write_text(_CALLER.format(python=sys.executable, path=str(socket_path)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def serve(path: str) -> None:
    from openstackclient.shell import OpenStackShell  # noqa: PLC0415 - only the server needs them
    from swiftclient.shell import main as swift  # noqa: PLC0415

    programs = {"openstack": lambda argv: OpenStackShell().run(argv[1:]), "swift": swift}
    OpenStackShell().run(["user", "list", "--help"])  # what it reads once is read before the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            caller, _ = listener.accept()
            with caller:
                size, streams, _, _ = socket.recv_fds(caller, 4, 3)
                argv, environment, directory = json.loads(_read(caller, int.from_bytes(size, "big")))
                child = os.fork()
                if child == 0:
                    _become(streams, environment, directory)
                    os._exit(_run(programs[Path(argv[0]).name], argv))
                for stream in streams:
                    os.close(stream)
                _, status = os.waitpid(child, 0)
                caller.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _read(caller: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += caller.recv(size - len(found))
    return found


def _become(streams: list[int], environment: dict[str, str], directory: str) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)


def _run(program: Callable[[list[str]], int | None], argv: list[str]) -> int:
    ended: object
    sys.argv = argv
    try:
        ended = program(argv)
    except SystemExit as error:
        ended = error.code
    sys.stdout.flush()
    sys.stderr.flush()
    return ended if isinstance(ended, int) else 0 if ended is None else 1


if __name__ == "__main__":
    serve(sys.argv[1])
