# SPDX-License-Identifier: Apache-2.0
"""Drivers that keep the bytes of objects."""
