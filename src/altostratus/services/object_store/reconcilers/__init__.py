# SPDX-License-Identifier: Apache-2.0
"""Loops without input."""
