# SPDX-License-Identifier: Apache-2.0
"""Rules and queries of compute: plain functions over a transaction."""
