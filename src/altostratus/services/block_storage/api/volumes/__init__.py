# SPDX-License-Identifier: Apache-2.0
"""Volumes: the resource, its lists, its actions."""
