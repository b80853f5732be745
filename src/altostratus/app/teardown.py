# SPDX-License-Identifier: Apache-2.0
"""Ends guests and networks of a cloud whose processes have stopped: the second half of `alto down`."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from altostratus.app.drivers import create_hypervisor, create_network_driver
from altostratus.app.files import load_options
from altostratus.app.options import Paths
from altostratus.contracts.hypervisor import Hypervisor, HypervisorError
from altostratus.kernel import log

_POWER_BUTTON_S = 20.0


def stop_guests(hypervisor: Hypervisor) -> None:
    """Every guest gets the power button, then the plug; wanted rows keep saying that it should run."""
    running = [one.id for one in hypervisor.list_servers() if one.power in ("running", "paused")]
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda server_id: hypervisor.halt_server(server_id, _POWER_BUTTON_S), running))


def main() -> int:
    paths = Paths(Path(os.environ["ALTO_STATE"]))
    options = load_options(paths)
    log.set_up("WARNING")
    try:
        if paths.servers.exists():
            hypervisor = create_hypervisor(options, paths)
            stop_guests(hypervisor)
            hypervisor.close()
        network = create_network_driver(options, paths)
        network.remove_everything()
        network.close()
    except (HypervisorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
