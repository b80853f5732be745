# SPDX-License-Identifier: Apache-2.0
"""Compute (Nova v2.1): servers, flavors, key pairs, hosts and everything that schedules them."""
