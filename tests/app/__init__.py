# SPDX-License-Identifier: Apache-2.0
"""Tests of the composition root and its processes."""
