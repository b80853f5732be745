# SPDX-License-Identifier: Apache-2.0
"""The process: takes its port, becomes an ordinary user, serves until it is told to end."""

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

from altostratus.agents.link.unix import UnixHostApi
from altostratus.app.console_proxy.proxy import ConsoleProxy, ProxyOptions
from altostratus.app.files import load_options
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, drop_privileges, guest_identity
from altostratus.kernel import log
from altostratus.kernel.config import load
from altostratus.services.compute.config import ComputeOptions

_log = log.get("console")
_PORT_RETRY_S = 5.0


def take_port(options: CloudOptions) -> socket.socket:
    """Listen; waits for as long as another program has the port, and says so once."""
    family = socket.AF_INET6 if ":" in options.listen else socket.AF_INET
    told = False
    while True:
        try:
            return socket.create_server((options.listen, options.console_port), family=family)
        except OSError as error:
            if not told:
                _log.error(
                    "consoles need %s port %d: %s. End what uses it, or choose another: [cloud] console_port = 6081",
                    options.listen,
                    options.console_port,
                    error.strerror,
                )
                told = True
            time.sleep(_PORT_RETRY_S)


async def run(proxy: ConsoleProxy, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with proxy.serving(listening):
        await ended.wait()


def main() -> int:
    paths = Paths(Path(os.environ["ALTO_STATE"]))
    options = load_options(paths)
    log.set_up(options.log_level)
    base_url = load(paths.config, (ComputeOptions,), only=False)[ComputeOptions].console_base_url
    guests, owner = guest_identity(options), control_identity(options)
    listening = take_port(options)
    drop_privileges(owner)
    paths.console_pid.write_text(f"{os.getpid()}\n")
    host = options.host or socket.gethostname()
    api = UnixHostApi(paths.host_socket)
    proxy = ConsoleProxy(
        ProxyOptions(host=host, base_url=base_url, guest_uid=guests[0] if guests else None),
        lambda params: api.ask(host, "console", params),
    )
    asyncio.run(run(proxy, listening))
    api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
