# SPDX-License-Identifier: Apache-2.0
"""Tests of the network service, through its HTTP API."""
