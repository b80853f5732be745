# SPDX-License-Identifier: Apache-2.0
"""The default network driver: Linux bridges, namespaces, nftables, dnsmasq.

`segments`, `routers`, `dhcp`, `filters` plan parts; `plan` puts them together; `changes`, `tables` and
`shaping` compare; `converge` applies; `observe` reads the machine; `driver` is the door.
"""

from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.driver import LinuxBridgeDriver
from altostratus.drivers.network.linuxbridge.probe import Capabilities, probe_kernel

__all__ = ["Capabilities", "LinuxBridgeConfig", "LinuxBridgeDriver", "probe_kernel"]
