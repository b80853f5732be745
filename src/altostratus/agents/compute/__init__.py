# SPDX-License-Identifier: Apache-2.0
"""The compute agent: brings the servers of a host to their wanted state, through a hypervisor driver."""

from .agent import ComputeAgent

__all__ = ["ComputeAgent"]
