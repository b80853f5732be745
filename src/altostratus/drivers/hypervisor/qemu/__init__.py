# SPDX-License-Identifier: Apache-2.0
"""QEMU started directly and driven over QMP.

`driver` is the contract; `plan` decides, `boot`, `power`, `hotplug` and `snapshot` do; `command` and `devices` know
how QEMU wants things said; `record` is the memory on disk, `process` and `qmp` the two lines to a guest.
"""

from .config import QemuConfig
from .driver import QemuHypervisor

__all__ = ["QemuConfig", "QemuHypervisor"]
