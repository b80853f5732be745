# SPDX-License-Identifier: Apache-2.0
"""Compute through its front door."""
