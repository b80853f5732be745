# SPDX-License-Identifier: Apache-2.0
"""The network agent: keeps one host's networks, ports, filters and routers as wanted."""
