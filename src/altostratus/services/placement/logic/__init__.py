# SPDX-License-Identifier: Apache-2.0
"""Rules and queries of placement; SQL only."""
