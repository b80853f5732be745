# SPDX-License-Identifier: Apache-2.0
"""Hypervisor drivers, all of the contract `contracts.hypervisor.Hypervisor`."""
