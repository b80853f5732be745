# SPDX-License-Identifier: Apache-2.0
"""Tests derived from the declarations of every service."""
