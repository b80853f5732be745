# SPDX-License-Identifier: Apache-2.0
"""The agent process: drivers beside the hardware, driven by wanted rows. It holds no database credentials."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

from altostratus.agents.link.unix import UnixHostApi
from altostratus.agents.runner import AgentRunner
from altostratus.app.drivers import create_agents
from altostratus.app.files import load_options
from altostratus.app.options import Paths
from altostratus.kernel import log


def main() -> int:
    paths = Paths(Path(os.environ["ALTO_STATE"]))
    options = load_options(paths)
    log.set_up(options.log_level)
    os.umask(0o022)
    paths.agent_pid.write_text(f"{os.getpid()}\n")
    host = options.host or socket.gethostname()
    api = UnixHostApi(paths.host_socket)
    runner = AgentRunner(host, api, create_agents(options, paths, host, api))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    runner.start()
    ended.wait()
    runner.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
