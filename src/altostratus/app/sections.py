# SPDX-License-Identifier: Apache-2.0
"""Every section of the configuration file."""

from pathlib import Path

import msgspec

from altostratus.app.options import CloudOptions
from altostratus.app.policy_files import PolicyOptions
from altostratus.app.service_list import ALL_SERVICES
from altostratus.drivers.object_store.rados import RadosOptions
from altostratus.kernel.config import Section, Settings, load
from altostratus.kernel.quota import QuotaOptions
from altostratus.services.compute.config import ComputeOptions

ALL_SECTIONS: tuple[type[Section], ...] = (
    CloudOptions,
    PolicyOptions,
    QuotaOptions,
    RadosOptions,
    *(section for service in ALL_SERVICES for section in service.options),
)


def load_settings(path: Path) -> Settings:
    """The whole file. Raises ConfigError.

    Compute is told the console port of this cloud, unless its section names the one of a proxy in front.
    """
    settings = load(path, ALL_SECTIONS)
    port = settings[CloudOptions].console_port
    compute = settings[ComputeOptions]
    if compute.console_port == ComputeOptions().console_port:
        compute = msgspec.structs.replace(compute, console_port=port)
    return Settings([*settings.all(), compute])
