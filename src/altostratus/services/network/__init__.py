# SPDX-License-Identifier: Apache-2.0
"""Networks, ports, routers, floating IPs and security groups (Neutron v2.0)."""
