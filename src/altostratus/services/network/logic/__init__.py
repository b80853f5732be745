# SPDX-License-Identifier: Apache-2.0
"""Rules and verbs of the network service: plain functions over rows, no I/O but SQL."""
