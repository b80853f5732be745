# SPDX-License-Identifier: Apache-2.0
"""Every section of the configuration file."""

from altostratus.app.options import CloudOptions
from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.config import Section

ALL_SECTIONS: tuple[type[Section], ...] = (
    CloudOptions,
    *(section for service in ALL_SERVICES for section in service.options),
)
