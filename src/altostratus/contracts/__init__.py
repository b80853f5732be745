# SPDX-License-Identifier: Apache-2.0
"""What crosses the borders between services, agents and drivers: frozen specs and Protocols. No logic, no I/O."""
